"""What the keys of the run screen ask of the engine, each told again when the engine has taken it."""

from collections.abc import Callable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.screen import Screen

from engine.control import (
    CheckpointNow,
    ControlMessage,
    EvaluateNow,
    ExtendEpochs,
    Pause,
    Resume,
    SetLearningRate,
    StopAfterEpoch,
    StopNow,
    validated,
)
from resnet_tui.run.control import RunControl
from resnet_tui.run.doing import LIVE, Doing
from resnet_tui.run.state import RunState
from resnet_tui.screens.ask_value import AskValue
from resnet_tui.screens.confirm import Choice, Confirm

STOP_AFTER_EPOCH = Choice(
    "after_epoch", "Stop after this epoch", "It is trained to its end, evaluated and saved.", "warning", key="e"
)
STOP_NOW = Choice(
    "now", "Stop now", "A checkpoint is saved first; the run can be resumed from it to the bit.", "error", key="s"
)


class RunActions(Screen[None]):
    """The acting half of the run screen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "pause", "pause", id="run.pause", tooltip="pause the run"),
        Binding("p", "resume", "go on", id="run.resume", tooltip="let the paused run go on"),
        Binding("s", "stop", "stop", id="run.stop", tooltip="stop the run, now or after this epoch"),
        Binding("c", "checkpoint", "save", id="run.checkpoint", tooltip="save a checkpoint now"),
        Binding("e", "evaluate", "eval", id="run.evaluate", tooltip="evaluate every split now"),
        Binding("r", "rate", "rate", id="run.rate", tooltip="change the learning rate"),
        Binding("a", "extend", "more", id="run.extend", tooltip="train more epochs than planned"),
    ]
    ACTING = frozenset({"pause", "resume", "stop", "checkpoint", "evaluate", "rate", "extend"})
    """Actions that need a live run and the right to change it."""

    state: RunState
    control: RunControl | None = None
    """None before the run has a folder, and where only looking is allowed."""

    @property
    def doing(self) -> Doing:
        """What the run is doing."""
        raise NotImplementedError

    def say(self, text: str) -> None:
        """Tell the person at the screen."""
        raise NotImplementedError

    @property
    def can_act(self) -> bool:
        """Whether the run can be asked for anything."""
        return self.control is not None and self.doing in LIVE

    def ask(self, message: Callable[[str], ControlMessage], words: str) -> bool:
        """Send what ``message`` makes of this dashboard's name; return whether it was sent."""
        if self.control is None or not self.can_act:
            return False
        try:
            self.control.ask(message(self.control.source), words)
        except OSError as error:
            self.notify(
                f"not asked: the run's folder cannot be written: {error.strerror}", severity="error", markup=False
            )
            return False
        self.say(f"{words}: asked, waiting for the engine")
        return True

    def action_pause(self) -> None:
        """Wait before the next step."""
        self.ask(lambda source: Pause(source=source), "pause")

    def action_resume(self) -> None:
        """Let a paused run go on."""
        self.ask(lambda source: Resume(source=source), "going on")

    def action_checkpoint(self) -> None:
        """Save a checkpoint now."""
        self.ask(lambda source: CheckpointNow(source=source), "checkpoint")

    def action_evaluate(self) -> None:
        """Evaluate every split now."""
        self.ask(lambda source: EvaluateNow(source=source), "evaluation")

    def action_stop(self) -> None:
        """Ask how to stop."""
        if not self.can_act:
            return
        keep = Choice("cancel", "Keep training", "Nothing changes.", key="n")
        dialog = Confirm("Stop this run?", self.state_in_words, (STOP_AFTER_EPOCH, STOP_NOW, keep))
        self.app.push_screen(dialog, self._stop_as_said)

    def stop(self, how: str | None) -> bool:
        """Stop as ``how`` says, ``now`` or ``after_epoch``, anything else not at all; return whether it was asked."""
        if how == "now":
            return self.ask(lambda source: StopNow(source=source), "stop now")
        if how == "after_epoch":
            return self.ask(lambda source: StopAfterEpoch(source=source), "stop after this epoch")
        return False

    def _stop_as_said(self, how: str | None) -> None:
        self.stop(how)

    @property
    def state_in_words(self) -> str:
        """Where the run is, for a dialog."""
        summary = self.state.summary
        if not summary.epoch:
            return f"{self.doing}"
        return f"{self.doing}: epoch {summary.epoch} of {summary.epochs}, step {summary.step:,}"

    def action_rate(self) -> None:
        """Ask for another learning rate."""
        if not self.can_act:
            return
        last = self.state.summary.last_step
        text = "From here on the rate is this one, and follows the schedule in proportion. A warm-up ends."
        self.app.push_screen(
            AskValue("Learning rate", text, f"{last.lr:.6g}" if last else "", _problem_of_rate), self._set_rate
        )

    def _set_rate(self, value: str | None) -> None:
        if value is not None:
            self.ask(
                lambda source: SetLearningRate(lr=float(value), source=source), f"learning rate {float(value):g}"
            )

    def action_extend(self) -> None:
        """Ask how many epochs to add."""
        if not self.can_act:
            return
        text = (
            f"The run is planned for {self.state.summary.epochs} epochs. "
            "What is left of the schedule is stretched over what is left of the run."
        )
        self.app.push_screen(AskValue("Add epochs", text, "5", _problem_of_epochs), self._extend)

    def _extend(self, value: str | None) -> None:
        if value is not None:
            self.ask(lambda source: ExtendEpochs(epochs=int(value), source=source), f"{int(value)} more epochs")


def _problem_of_rate(value: str) -> str:
    return _problem(lambda: SetLearningRate(lr=float(value)), value, "a number above 0, at most 100, such as 0.01")


def _problem_of_epochs(value: str) -> str:
    return _problem(lambda: ExtendEpochs(epochs=int(value)), value, "a whole number from 1 to 100000")


def _problem(make: Callable[[], ControlMessage], value: str, allowed: str) -> str:
    """Return what is wrong with a value, by the rule that the engine itself goes by."""
    try:
        validated(make())
    except ValueError:
        return f"{value or 'nothing'}: allowed: {allowed}"
    return ""
