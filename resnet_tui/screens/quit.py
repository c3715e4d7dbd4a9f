"""The dialog at the end of a session: what each choice does to the run."""

from resnet_tui.screens.confirm import Choice, Confirm
from resnet_tui.screens.run import RunScreen
from resnet_tui.screens.run_actions import STOP_AFTER_EPOCH, STOP_NOW


class Quit(Confirm):
    """Asks what is to become of a live run."""

    def __init__(self, run: RunScreen) -> None:
        """Ask about ``run``."""
        stay = Choice("stay", "Do not quit", "Back to the dashboard.", key="n")
        if run.run_dir is None:
            text = "The engine is starting; the run has no folder yet."
            choices: tuple[Choice, ...] = (
                Choice(
                    "leave", "Leave it starting", "It begins and trains without the dashboard.", "primary", key="l"
                ),
                Choice(
                    "now", "Stop it before it begins", "The engine ends as soon as it hears of it.", "error", key="s"
                ),
                stay,
            )
        else:
            name = run.run_dir.name
            text = f"{name}\n{run.state_in_words}"
            leave = f"It trains on without the dashboard. Come back with: resnet-tui watch {name}"
            choices = (
                Choice("leave", "Leave it running", leave, "primary", key="l"),
                STOP_AFTER_EPOCH,
                STOP_NOW,
                stay,
            )
        super().__init__("Quit", text, choices)
