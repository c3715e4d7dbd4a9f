"""Which device a name means on this machine: ``python -m engine.queue.device NAME`` tells who only waits for runs.

In a process of its own, for it takes torch, which is half a gigabyte of memory.
"""

import subprocess
import sys

from engine.child import module_command
from engine.config import RunConfig
from engine.errors import UserError, WorldError
from engine.text import clean


def full_name(device: str) -> str:
    """Return the device that a name means on this machine, such as ``cuda:0`` for ``auto``.

    Raises:
        UserError: there is no such device.
        WorldError: it cannot be told.
    """
    if device == "cpu":
        return device
    asked = subprocess.run(
        module_command("engine.queue.device", device), capture_output=True, text=True, errors="replace", check=False
    )
    said = clean(asked.stdout).strip()
    if asked.returncode == UserError.exit_status:
        raise UserError(said)
    if asked.returncode:
        raise WorldError(
            f"--device {device}: what this machine has cannot be told: {clean(asked.stderr)[-300:].strip()}; "
            "resnet-tui doctor looks for the cause"
        )
    return said


def fits(config: RunConfig, device: str) -> bool:
    """Whether a run may be trained on ``device``, which has its full name: the run names this one, or none."""
    wanted = config.train.device
    return wanted in {"auto", device} or (wanted == "cuda" and device == "cuda:0")


def main() -> int:
    """Print the device's full name, or what is wrong with the name."""
    from engine.devices import resolve

    try:
        print(resolve(sys.argv[1]))
    except UserError as error:
        print(error)
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
