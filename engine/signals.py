"""The signals that end a run in order."""

import signal

ENDING = tuple(signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Windows has no SIGHUP."""


def heeded() -> list[signal.Signals]:
    """Return those that were not ignored when the process began, as nohup and a shell's background jobs have it."""
    return [number for number in ENDING if signal.getsignal(number) is not signal.SIG_IGN]
