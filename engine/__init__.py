"""Training of residual networks as a library: ``engine.start(config)`` trains in a thread of the caller's process.

Imports point one way: ``resnet_tui`` uses this package; this package uses neither it nor Textual nor Typer.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.config import RunConfig
    from engine.control import Control
    from engine.sinks import Sink
    from engine.thread import EngineThread


def start(
    config: "RunConfig",
    *,
    runs: Path | None = None,
    sinks: "Sequence[Sink]" = (),
    control: "Control | None" = None,
) -> "EngineThread":
    """Begin a run in a thread of its own and return at once.

    Args:
        config: the run.
        runs: the folder to keep it in; None keeps nothing on disk.
        sinks: who listens; called in the engine thread.
        control: where messages to the run come from; the thread makes its own as ``.control``.

    Returns:
        The thread; ``result()`` waits for ``run_finished`` and raises what kept the run from beginning.
    """
    from engine.thread import EngineThread

    thread = EngineThread(config, runs=runs, sinks=sinks, control=control)
    thread.start()
    return thread
