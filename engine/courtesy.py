"""Who gives way where all processors are busy: the dashboard to whoever trains. Linux; elsewhere nothing happens."""

import contextlib
import os


def give_way() -> None:
    """Let this thread, and what it starts, wait for a turn instead of cutting in when it wakes.

    A training step waits at many barriers for the slowest of its threads, so that to interrupt one for a moment costs
    them all.
    """
    _schedule("SCHED_BATCH")


def give_way_no_longer() -> None:
    """Undo ``give_way`` in a process that inherited it."""
    _schedule("SCHED_OTHER")


def _schedule(policy: str) -> None:
    if hasattr(os, policy):
        with contextlib.suppress(OSError):  # a container may not allow it
            os.sched_setscheduler(0, getattr(os, policy), os.sched_param(0))
