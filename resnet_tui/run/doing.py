"""What a run is doing, or how it ended: one word, one glyph and one meaning everywhere."""

from typing import Literal

from resnet_tui.run.state import RunState

Doing = Literal[
    "reading",
    "starting",
    "preparing",
    "running",
    "training",
    "evaluating",
    "paused",
    "waiting",
    "completed",
    "stopped",
    "failed",
    "diverged",
    "lost",
    "damaged",
]
"""reading: not all of its log is known yet; starting: its process is there and its folder is not; running: live, and
not known what it does just now; waiting: its files cannot be written, as on a full disk; lost: its process is gone
and it never said that it ended; damaged: its files cannot be read."""
Meaning = Literal["success", "accent", "warning", "error"]
"""Of the theme's colours."""
GLYPHS: dict[Doing, tuple[str, Meaning]] = {
    "reading": ("○", "accent"),
    "starting": ("○", "accent"),
    "preparing": ("○", "accent"),
    "running": ("●", "success"),
    "training": ("●", "success"),
    "evaluating": ("◆", "accent"),
    "paused": ("=", "warning"),
    "waiting": ("!", "warning"),
    "completed": ("✓", "success"),
    "stopped": ("■", "warning"),
    "failed": ("✗", "error"),
    "diverged": ("✗", "error"),
    "lost": ("?", "error"),
    "damaged": ("!", "error"),
}
LIVE: frozenset[Doing] = frozenset(
    {"starting", "preparing", "running", "training", "evaluating", "paused", "waiting"}
)


def doing(state: RunState, *, alive: bool, waits: bool = False) -> Doing:
    """Return what the run is doing, given whether a process holds it and whether that waits for its files."""
    summary = state.summary
    if summary.outcome is not None:
        return summary.outcome
    if not alive:
        return "lost"
    return "waiting" if waits else summary.state
