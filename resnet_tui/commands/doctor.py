"""``resnet-tui doctor``: what this machine has, what is missing, and what to do about it."""

from __future__ import annotations

import json as json_module
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from resnet_tui.commands.train import RunsDir

Level = Literal["ok", "note", "problem"]
_STYLES: dict[Level, str] = {"ok": "green", "note": "yellow", "problem": "bold red"}
_LOW_DISK = 1 << 30
_SMALLEST_TERMINAL = (80, 24)


@dataclass(frozen=True)
class Check:
    """One thing looked at. A problem keeps training from working; a note is worth knowing."""

    level: Level
    what: str
    found: str
    todo: str = ""


def doctor(
    runs_dir: RunsDir = Path("runs"),
    resume_check: Annotated[
        bool,
        typer.Option("--resume-check", help="Prove instead that a run which is killed is resumed to the bit."),
    ] = False,
    device: Annotated[str, typer.Option(help="Where --resume-check trains: auto, cpu, mps, cuda, …")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Check devices, versions, data, folders, terminal.

    With --resume-check, train a small run, kill it again and again, and hold what it gives against a run left alone;
    this takes less than a minute.

    Exits with 1 where training could not work, or a resume was not exact.
    """
    if device != "auto" and not resume_check:
        from engine.errors import UserError

        raise UserError(f"--device {device}: only --resume-check trains; without it all devices are looked at")
    if resume_check:
        checks = [*_exact_resume(device)]
    else:
        checks = [*_packages(), *_devices(), *_memory(), *_folders(runs_dir), *_datasets(), *_terminal()]
    if json:
        print(json_module.dumps([asdict(check) for check in checks], indent=2))
    else:
        _print(checks)
    raise typer.Exit(1 if any(check.level == "problem" for check in checks) else 0)


def _packages() -> Iterator[Check]:
    import platform
    from importlib.metadata import PackageNotFoundError, requires, version

    from packaging.requirements import Requirement

    yield Check("ok", "python", platform.python_version())
    yield Check("ok", "resnet-tui", version("resnet-tui"))
    for text in requires("resnet-tui") or []:
        needed = Requirement(text)
        if needed.marker is not None and not needed.marker.evaluate():
            continue
        install = f"pip install '{needed.name}{needed.specifier}'"
        try:
            found = version(needed.name)
        except PackageNotFoundError:
            yield Check("problem", needed.name, "not installed", install)
            continue
        fits = needed.specifier.contains(found, prereleases=True)
        yield Check("ok" if fits else "problem", needed.name, found, "" if fits else install)


def _devices() -> Iterator[Check]:
    from engine.text import one_line

    try:
        import torch

        from engine.devices import available
    except (ImportError, OSError) as error:
        yield Check("problem", "torch", one_line(str(error), 200), "install torch and torchvision from one index")
        return
    try:
        import torchvision  # noqa: F401 (a torchvision of another index fails here)
    except (ImportError, OSError, RuntimeError) as error:
        yield Check("problem", "torchvision", one_line(str(error), 200), "install both from one index")
    for device in available():
        if device.startswith("cuda"):
            free, total = torch.cuda.mem_get_info(device)
            name = one_line(torch.cuda.get_device_name(device))
            yield Check("ok", f"device {device}", f"{name}, {_size(free)} of {_size(total)} free")
        else:
            yield Check("ok", f"device {device}", _processor() if device == "cpu" else "Apple GPU")
    if available() == ["cpu"]:
        why = "torch was built without CUDA" if torch.version.cuda is None else "no GPU was found"
        yield Check("note", "GPU", why, "training runs on the CPU; a GPU is faster by far")


def _processor() -> str:
    import psutil
    import torch

    bf16 = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
    threads = torch.get_num_threads()
    return (
        f"{psutil.cpu_count(logical=False) or '?'} cores, {threads} thread{'s' if threads > 1 else ''}, "
        f"{torch.backends.cpu.get_cpu_capability()}{', bfloat16' if bf16 else ''}"
    )


def _memory() -> Iterator[Check]:
    import psutil

    memory = psutil.virtual_memory()
    yield Check("ok", "memory", f"{_size(memory.available)} of {_size(memory.total)} free")


def _folders(runs: Path) -> Iterator[Check]:
    from engine.data.cache import cache_folder

    for what, folder, option in (("runs", runs, "--runs-dir"), ("cache", cache_folder(), "RESNET_TUI_CACHE")):
        yield _folder(f"{what} folder", folder, option)


def _folder(what: str, folder: Path, option: str) -> Check:
    from engine.text import one_line

    existing = folder.absolute()
    while not existing.exists():
        existing = existing.parent
    shown = one_line(str(folder))
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        return Check("problem", what, f"{shown}: cannot be written", f"give another with {option}")
    free = shutil.disk_usage(existing).free
    found = f"{shown}: {_size(free)} free"
    return Check("note", what, found, "make room") if free < _LOW_DISK else Check("ok", what, found)


def _datasets() -> Iterator[Check]:
    from engine.data.sources import catalogue

    for entry in catalogue(None):
        missing = entry.state in {"incomplete", "not usable"}
        yield Check("note" if missing else "ok", f"data {entry.name}", entry.state, entry.todo)


def _terminal() -> Iterator[Check]:
    from rich.console import Console

    from engine.text import one_line

    columns, lines = shutil.get_terminal_size()
    colours = Console().color_system or "no"
    small = columns < _SMALLEST_TERMINAL[0] or lines < _SMALLEST_TERMINAL[1]
    yield Check(
        "note" if small else "ok",
        "terminal",
        f"{columns}x{lines}, {colours} colours, TERM={one_line(os.environ.get('TERM', 'not set'))}"
        f"{', NO_COLOR is set' if os.environ.get('NO_COLOR') else ''}",
        "80x24 or larger shows every column" if small else "",
    )
    encoding = (getattr(sys.stdout, "encoding", None) or "ascii").lower()
    if "utf" not in encoding:
        yield Check("note", "encoding", encoding, "charts need UTF-8: set LANG to one, such as C.UTF-8")


def _exact_resume(device: str) -> Iterator[Check]:
    import tempfile

    from engine.devices import resolve
    from engine.resume_check import prove
    from resnet_tui.printing.progress import shown

    where = str(resolve(device))
    with tempfile.TemporaryDirectory(prefix="resnet-tui-resume-check-") as folder:
        found, control = shown(prove(Path(folder), device))
    report = "this is a mistake in the program: please report it with what doctor says without --resume-check"
    how = (
        f"killed {found.kills} times, resumed {found.resumes} times, {found.repeated} of {found.steps} steps repeated"
    )
    yield Check("ok", "device", where)
    if found.difference:
        yield Check("problem", "exact resume", f"{how}: not equal: {found.difference}", report)
    else:
        what = "weights, norm statistics, optimiser, average, state and log equal to the bit"
        yield Check("ok", "exact resume", f"{how}: {what} (SHA-256 {found.sha256[:16]}…, {found.seconds:.0f} s)")
    if control.difference:
        yield Check("ok", "can it fail?", f"with the momentum left out it does: {control.difference}")
    else:
        yield Check("problem", "can it fail?", "the momentum was left out and nothing noticed", report)


def _size(count: float) -> str:
    return f"{count / 2**30:.1f} GiB"


def _print(checks: list[Check]) -> None:
    from rich.table import Table
    from rich.text import Text

    from engine.text import one_line
    from resnet_tui.printing.console import on_stdout

    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in checks:
        found = Text(one_line(check.found))
        if check.todo:
            found.append(f"\n{one_line(check.todo)}", "dim")
        table.add_row(Text(check.level, _STYLES[check.level]), Text(check.what), found)
    console = on_stdout()
    console.print(table)
    problems = sum(check.level == "problem" for check in checks)
    console.print(Text(f"\n{problems or 'no'} problem{'' if problems == 1 else 's'}", "bold"))
