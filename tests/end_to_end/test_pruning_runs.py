"""Real, tiny runs that prune: when, what is kept on disk, and what a resume makes of it."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from safetensors.numpy import load_file
from support import LEGAL_ORDER, letters, of, outcome, stop_at, tiny, train

from engine import events as ev
from engine import pruning, run_dir
from engine.config import RunConfig
from engine.control import CheckpointNow, Control, EvaluateNow, StopNow
from engine.errors import UserError
from engine.summary import read_summary

STEPS = 5
"""An epoch of ``tiny``."""


def pruned_config(**settings: object) -> RunConfig:
    given: dict[str, object] = {
        "prune__amount": 0.5,
        "prune__after_epochs": 1,
        "train__epochs": 3,
        "telemetry__every_steps": 1,
        "optim__weight_decay": 0.01,
    }
    return tiny(**given | settings)


def zeros(path: Path, prefix: str = "model") -> int:
    """Count the zeros among the prunable weights of a checkpoint: those with more than one dimension."""
    arrays = [a for name, a in load_file(path).items() if name.startswith(f"{prefix}.") and a.ndim > 1]
    assert arrays
    return sum(int((array == 0).sum()) for array in arrays)


def weights(path: Path) -> str:
    digest = hashlib.sha256()
    for name, array in sorted(load_file(path).items()):
        digest.update(name.encode() + array.tobytes())
    return digest.hexdigest()


@pytest.mark.parametrize("after", [1, 2])
def test_it_prunes_before_the_first_step_of_its_epoch_and_the_zeros_survive(tmp_path: Path, after: int) -> None:
    events = train(pruned_config(prune__after_epochs=after, train__ema_decay=0.9), tmp_path)
    assert outcome(events).outcome == "completed"
    order = letters(event for event in events if not isinstance(event, ev.System))
    epoch = r"E(sg){5}cvc?"
    assert re.fullmatch(rf"p+RM({epoch}){{{after}}}Ex(sg){{5}}cvc({epoch}){{{2 - after}}}c?F", order)
    assert LEGAL_ORDER.fullmatch(letters(events))
    (pruned,) = of(events, ev.Pruned)
    assert (pruned.step, pruned.epoch, pruned.amount) == (after * STEPS, after + 1, 0.5)
    (built,) = of(events, ev.ModelBuilt)
    assert tuple(part for part, _, _ in pruned.parts) == built.blocks
    run = run_dir.find(tmp_path, "last")
    for path in (run.last, run.best):
        assert zeros(path) == zeros(path, "average.module") == pruned.zeros == round(0.5 * pruned.weights)
    assert (outcome(events).best_epoch or 0) > after
    assert "pruned 50.00 % of" in run.log.read_text()
    assert re.search(r"pruned: [\d,]+ of [\d,]+ weights .* images/s before \(median of", run.log.read_text())
    best = read_summary(run.events).best()
    assert best is not None
    assert (best.epoch, best.test_accuracy) == (outcome(events).best_epoch, outcome(events).best_accuracy)


def test_amount_0_changes_nothing(tmp_path: Path) -> None:
    given = train(pruned_config(prune__amount=0.0, prune__after_epochs=1), tmp_path / "given")
    plain = train(tiny(train__epochs=3, telemetry__every_steps=1, optim__weight_decay=0.01), tmp_path / "plain")
    assert of(given, ev.Pruned) == []
    assert [e.loss for e in of(given, ev.Step)] == [e.loss for e in of(plain, ev.Step)]
    last = [run_dir.find(tmp_path / which, "last").last for which in ("given", "plain")]
    assert weights(last[0]) == weights(last[1])
    assert zeros(last[0]) == 0


def test_until_it_prunes_a_run_is_the_one_without_pruning() -> None:
    pruned = of(train(pruned_config()), ev.Step)
    plain = of(train(pruned_config(prune__amount=0.0)), ev.Step)
    assert [e.loss for e in pruned[:STEPS]] == [e.loss for e in plain[:STEPS]]
    assert pruned[STEPS].loss != plain[STEPS].loss


SETTINGS: list[dict[str, object]] = [
    {"optim__clip_norm": 0.5},
    {"train__ema_decay": 0.9, "optim__name": "adamw", "model__shortcut": "B"},
]


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("at", [3, 5, 6, 10, 12])
def test_a_resumed_run_equals_one_left_alone(tmp_path: Path, at: int, settings: dict[str, object]) -> None:
    """Stopped before it pruned, at the very step, right after, and later."""
    config = pruned_config(schedule__name="cosine", **settings)
    alone = train(config, tmp_path / "alone")
    control, on_event = stop_at(at)
    part = train(config, tmp_path / "cut", control=control, on_event=on_event)
    assert outcome(part).steps == at
    cut = run_dir.find(tmp_path / "cut", "last")
    rest = train(cut.config(), resume=cut)
    assert [len(of(part, ev.Pruned)), len(of(rest, ev.Pruned))] == ([1, 0] if at > STEPS else [0, 1])
    resumed = {e.step: e.loss for e in [*of(part, ev.Step), *of(rest, ev.Step)]}
    assert resumed == {e.step: e.loss for e in of(alone, ev.Step)}
    left_alone = run_dir.find(tmp_path / "alone", "last")
    assert weights(cut.last) == weights(left_alone.last)
    assert weights(cut.best) == weights(left_alone.best)
    summary, expected = read_summary(cut.events), read_summary(left_alone.events)
    assert summary.pruned is not None
    assert expected.pruned is not None
    assert (summary.pruned.zeros, summary.pruned.threshold) == (expected.pruned.zeros, expected.pruned.threshold)


def test_resuming_without_the_masks_would_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A control: the comparison above notices masks that were not made again."""
    control, on_event = stop_at(7)
    train(pruned_config(), tmp_path / "cut", control=control, on_event=on_event)
    train(pruned_config(), tmp_path / "alone")
    cut, alone = (run_dir.find(tmp_path / which, "last") for which in ("cut", "alone"))
    monkeypatch.setattr(pruning, "hold_zeros", lambda model: None)
    train(cut.config(), resume=cut)
    assert weights(cut.last) != weights(alone.last)
    assert zeros(cut.last) < zeros(alone.last)


def test_a_checkpoint_asked_for_at_the_very_step_is_of_the_unpruned_network(tmp_path: Path) -> None:
    control = Control()

    def on_event(event: ev.Event) -> None:
        if isinstance(event, ev.EpochStarted) and event.epoch == 2:
            for message in (CheckpointNow(), EvaluateNow()):
                control.send(message)
        if isinstance(event, ev.ControlApplied) and event.command == "evaluate_now":
            control.send(StopNow())

    events = train(pruned_config(), tmp_path, control=control, on_event=on_event)
    assert LEGAL_ORDER.fullmatch(letters(events))
    assert outcome(events).outcome == "stopped"
    assert of(events, ev.Pruned) == []
    run = run_dir.find(tmp_path, "last")
    assert zeros(run.last) == 0
    assert "pruned: nothing: the run ended before epoch 2" in run.log.read_text()
    rest = train(run.config(), resume=run)
    assert [e.step for e in of(rest, ev.Pruned)] == [STEPS]


def test_a_changed_pruning_is_refused_at_a_resume(tmp_path: Path) -> None:
    control, on_event = stop_at(7)
    train(pruned_config(), tmp_path, control=control, on_event=on_event)
    run = run_dir.find(tmp_path, "last")
    with pytest.raises(UserError, match=r"\[prune\]"):
        train(pruned_config(prune__amount=0.7), resume=run)
