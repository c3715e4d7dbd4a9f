"""Real, tiny runs through ``engine.start``: events, control, checkpoints, resume, endings."""

import hashlib
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors.numpy import load_file
from support import LEGAL_ORDER, Recorder, letters, of, outcome, tiny, train

import engine
from engine import events as ev
from engine import run_dir
from engine.control import (
    CheckpointNow,
    Control,
    ControlMessage,
    EvaluateNow,
    ExtendEpochs,
    Pause,
    Resume,
    SetLearningRate,
    StopAfterEpoch,
    StopNow,
)
from engine.data.pipeline import Batch
from engine.errors import UserError
from engine.event_log import read_events
from engine.learner import Learner
from engine.thread import EngineThread
from engine.train import train as iterate


def act_at(step: int, *to_send: ControlMessage) -> tuple[Control, Callable[[ev.Event], None]]:
    """Return a control, and a listener that sends the messages once ``step`` is reached."""
    control = Control()
    sent: list[bool] = []

    def on_event(event: ev.Event) -> None:
        if isinstance(event, ev.Step) and event.step >= step and not sent:
            sent.append(True)
            for message in to_send:
                control.send(message)

    return control, on_event


def weights(path: Path) -> str:
    """Return a hash over every tensor of a checkpoint."""
    digest = hashlib.sha256()
    for name, array in sorted(load_file(path).items()):
        digest.update(name.encode() + array.tobytes())
    return digest.hexdigest()


def test_every_event_of_a_run_is_counted_and_in_legal_order(tmp_path: Path) -> None:
    events = train(tiny(data__val_size=12, train__epochs=2), tmp_path)  # 60 images: 4 steps an epoch
    counted = letters(event for event in events if not isinstance(event, ev.System))
    assert re.fullmatch("p+RME(sg){2}cvvcE(sg){2}cvvc?cF", counted)  # best only where it got better
    assert LEGAL_ORDER.fullmatch(letters(events))
    assert len(of(events, ev.Evaluated)) == 4
    assert [e.split for e in of(events, ev.Evaluated)] == ["val", "test"] * 2
    assert [e.step for e in of(events, ev.Step)] == [2, 4, 6, 8]
    assert sum(e.images for e in of(events, ev.Step)) == 2 * 60
    after = events[letters(events).index("R") :]
    assert [event.seq for event in after] == list(range(len(after)))
    assert all(a.time <= b.time for a, b in pairwise(after))
    assert outcome(events).outcome == "completed"
    run = run_dir.find(tmp_path, "last")
    assert list(read_events(run.events)) == after


def test_step_events_hold_the_means_of_their_steps() -> None:
    coarse = of(train(tiny(telemetry__every_steps=5)), ev.Step)
    fine = of(train(tiny(telemetry__every_steps=1)), ev.Step)
    first = fine[:5]
    assert [e.steps for e in coarse] == [5, 5]
    assert coarse[0].images == sum(e.images for e in first) == 72
    assert coarse[0].loss == pytest.approx(sum(e.loss * e.images for e in first) / 72, rel=1e-5)
    assert coarse[0].accuracy == pytest.approx(sum(e.accuracy * e.images for e in first) / 72)


def test_gradient_norms_name_every_part_and_are_those_of_the_parameters() -> None:
    events = train(tiny())
    (built,) = of(events, ev.ModelBuilt)
    norms = of(events, ev.GradNorms)
    assert built.blocks == ("stem", "stage1.block1", "stage2.block1", "stage3.block1", "head")
    assert all(len(e.norms) == len(built.blocks) and min(e.norms) > 0 for e in norms)
    assert all(e.total == pytest.approx(sum(n * n for n in e.norms) ** 0.5) for e in norms)


def test_the_loss_falls_and_equal_seeds_give_equal_losses() -> None:
    config = tiny(train__epochs=6, telemetry__every_steps=1)
    first, again = train(config), train(config)
    other = train(tiny(train__epochs=6, telemetry__every_steps=1, train__seed=2))

    def losses(events: list[ev.Event]) -> list[float]:
        return [e.loss for e in of(events, ev.Step)]

    assert losses(first) == losses(again)
    assert losses(first) != losses(other)
    assert sum(losses(first)[-5:]) < 0.7 * sum(losses(first)[:5])


@pytest.mark.parametrize(
    "settings",
    [
        {"optim__decay_norm_and_bias": False},
        {"train__ema_decay": 0.9, "optim__name": "adamw", "data__flip": True},
    ],
)
@pytest.mark.parametrize("stop_at", [3, 5, 7])
def test_a_resumed_run_equals_one_left_alone(tmp_path: Path, stop_at: int, settings: dict[str, object]) -> None:
    config = tiny(telemetry__every_steps=1, schedule__name="cosine", data__crop_padding=2, **settings)
    alone = train(config, tmp_path / "alone")
    control, on_event = act_at(stop_at, StopNow())
    part = train(config, tmp_path / "cut", control=control, on_event=on_event)
    assert outcome(part).outcome == "stopped"
    assert outcome(part).steps < 10
    cut = run_dir.find(tmp_path / "cut", "last")
    rest = train(cut.config(), resume=cut)
    resumed = {e.step: e.loss for e in [*of(part, ev.Step), *of(rest, ev.Step)]}
    assert resumed == {e.step: e.loss for e in of(alone, ev.Step)}
    assert [e.accuracy for e in of(alone, ev.Evaluated)][-1] == [e.accuracy for e in of(rest, ev.Evaluated)][-1]
    assert weights(cut.last) == weights(run_dir.find(tmp_path / "alone", "last").last)
    logged = list(read_events(cut.events))
    assert [event.seq for event in logged] == list(range(len(logged)))


def test_resuming_without_the_momentum_would_differ(tmp_path: Path) -> None:
    """A control: the comparison above notices one missing piece of state."""
    config = tiny(telemetry__every_steps=1)
    control, on_event = act_at(3, StopNow())
    train(config, tmp_path, control=control, on_event=on_event)
    run = run_dir.find(tmp_path, "last")

    from engine.checkpoint import load_checkpoint, save_checkpoint

    tensors, state = load_checkpoint(run.last)
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith("optim.")}
    assert len(kept) < len(tensors)
    save_checkpoint(run.last, kept, state)
    train(run.config(), resume=run)
    train(config, tmp_path / "alone")
    assert weights(run.last) != weights(run_dir.find(tmp_path / "alone", "last").last)


def test_a_checkpoint_in_the_middle_of_an_epoch_is_where_a_resume_begins(tmp_path: Path) -> None:
    events = train(tiny(train__epochs=1, train__checkpoint_every_steps=2), tmp_path)
    assert [e.step for e in of(events, ev.CheckpointSaved) if e.which == "last"] == [2, 4, 5, 5]  # before and after


def test_pause_holds_training_until_resume() -> None:
    control, on_event = act_at(2, Pause(source="test"))
    recorder = Recorder(on_event)
    thread = engine.start(tiny(telemetry__every_steps=1), sinks=[recorder], control=control)
    recorder.wait_for(lambda e: isinstance(e, ev.ControlApplied) and e.command == "pause")
    steps = len(of(recorder.events, ev.Step))
    control.send(EvaluateNow())  # taken while paused, done after the resume: no step comes between
    recorder.wait_for(lambda e: isinstance(e, ev.ControlApplied) and e.command == "evaluate_now")
    assert len(of(recorder.events, ev.Step)) == steps
    control.send(Resume(source="test"))
    assert thread.result().outcome == "completed"
    assert outcome(recorder.events).steps == 10
    assert next(e.source for e in of(recorder.events, ev.ControlApplied)) == "test"


def test_stop_after_epoch_finishes_the_epoch(tmp_path: Path) -> None:
    control, on_event = act_at(2, StopAfterEpoch(source="me"))
    events = train(tiny(train__epochs=4), tmp_path, control=control, on_event=on_event)
    assert outcome(events).outcome == "stopped"
    assert "me" in outcome(events).reason
    assert (outcome(events).steps, outcome(events).epochs) == (5, 1)


def test_checkpoint_and_evaluation_come_at_the_next_step(tmp_path: Path) -> None:
    control, on_event = act_at(2, CheckpointNow(), EvaluateNow())
    events = train(tiny(train__epochs=1, telemetry__every_steps=1), tmp_path, control=control, on_event=on_event)
    assert of(events, ev.CheckpointSaved)[0].step == 2
    assert [e.step for e in of(events, ev.Evaluated)] == [2, 5]


def test_a_new_learning_rate_scales_the_rest_of_the_schedule() -> None:
    control, on_event = act_at(4, SetLearningRate(lr=0.002))
    config = tiny(telemetry__every_steps=1, schedule__name="multistep", schedule__milestones=[0.5], train__epochs=2)
    rates = [e.lr for e in of(train(config, control=control, on_event=on_event), ev.Step)]
    assert rates == pytest.approx([0.05] * 4 + [0.002] + [0.0002] * 5)


def test_extended_epochs_are_trained_without_a_jump_of_the_rate() -> None:
    control, on_event = act_at(4, ExtendEpochs(epochs=1))
    config = tiny(telemetry__every_steps=1, schedule__name="cosine")
    events = train(config, control=control, on_event=on_event)
    rates = [e.lr for e in of(events, ev.Step)]
    assert len(rates) == 15
    assert all(0 <= a - b < 0.008 for a, b in pairwise(rates))
    assert [e.epochs for e in of(events, ev.EpochStarted)] == [2, 3, 3]


def test_a_non_finite_loss_ends_the_run_as_diverged_and_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    control, on_event = act_at(5, SetLearningRate(lr=100))
    config = tiny(model__shortcut="C", train__epochs=60, optim__lr=1.0, optim__weight_decay=10)
    events = train(config, tmp_path, control=control, on_event=on_event)
    end = outcome(events)
    assert end.outcome == "diverged"
    assert "--lr" in end.reason
    from engine.checkpoint import load_checkpoint

    tensors, state = load_checkpoint(run_dir.find(tmp_path, "last").last)
    assert state.step <= end.steps
    assert all(bool(t.isfinite().all()) for name, t in tensors.items() if name.endswith("weight"))


def test_early_stopping_and_target_accuracy_end_a_run() -> None:
    patient = outcome(train(tiny(train__epochs=50, train__early_stopping=1, optim__lr=1e-6)))
    assert patient.outcome == "completed"
    assert "no better" in patient.reason
    assert patient.epochs < 50
    reached = outcome(train(tiny(train__epochs=50, train__target_accuracy=0.2)))
    assert reached.epochs < 50
    assert not reached.target_missed
    missed = outcome(train(tiny(train__epochs=1, optim__lr=1e-6, train__target_accuracy=1.0)))
    assert missed.target_missed


def test_a_sink_that_fails_ends_the_run_and_says_so(tmp_path: Path) -> None:
    class Full(Recorder):
        def emit(self, event: ev.Event) -> None:
            super().emit(event)
            if isinstance(event, ev.Step):
                raise OSError(28, "No space left on device", "events.jsonl")

    full = Full()
    events = train(tiny(), tmp_path, sinks=(full,))
    assert outcome(events).outcome == "failed"
    assert "events.jsonl: No space left on device" in outcome(events).reason
    assert isinstance(full.events[-1], ev.RunFinished)
    assert full.closed


def test_accumulating_in_parts_gives_the_whole_batchs_gradient() -> None:
    """In float32 and with norms that do not depend on the batch, parts add up to the whole."""
    norms = []
    for parts in (1, 4):
        learner = Learner(
            tiny(optim__accumulate=parts, train__precision="float32"), (3, 16, 16), 3, torch.device("cpu")
        )
        learner.model.eval()
        x_BCHW = torch.randn(15, 3, 16, 16, generator=torch.Generator().manual_seed(1))
        learner.accumulate_gradient(Batch(x_BCHW, torch.arange(15) % 3, None, 1.0))
        norms.append(learner.gradients.norms())
    assert torch.allclose(norms[0], norms[1], rtol=1e-4)


def test_clipping_bounds_the_update() -> None:
    def largest_change(clip: float) -> float:
        config = tiny(optim__clip_norm=clip, optim__momentum=0.0, optim__lr=0.5)
        learner = Learner(config, (3, 16, 16), 3, torch.device("cpu"))
        before = [parameter.detach().clone() for parameter in learner.model.parameters()]
        x_BCHW = torch.randn(16, 3, 16, 16, generator=torch.Generator().manual_seed(1))
        learner.accumulate_gradient(Batch(x_BCHW, torch.arange(16) % 3, None, 1.0))
        learner.update(0.5)
        after = learner.model.parameters()
        changes = [(a.detach() - b).flatten() for a, b in zip(after, before, strict=True)]
        return float(torch.cat(changes).norm())

    assert largest_change(0.01) == pytest.approx(0.5 * 0.01, rel=1e-3)
    assert largest_change(0.0) > 0.1


@pytest.mark.parametrize("residence", ["memory", "stream"])
def test_memory_and_stream_train(residence: str) -> None:
    events = train(tiny(data__residence=residence, data__workers=0, data__flip=True, data__crop_padding=2))
    assert outcome(events).outcome == "completed"


def test_a_moved_average_of_the_weights_is_what_is_evaluated(tmp_path: Path) -> None:
    plain = train(tiny())
    averaged = train(tiny(train__ema_decay=0.99), tmp_path)
    assert [e.loss for e in of(plain, ev.Step)] == [e.loss for e in of(averaged, ev.Step)]
    assert [e.loss for e in of(plain, ev.Evaluated)] != [e.loss for e in of(averaged, ev.Evaluated)]
    from engine.evaluate_saved import evaluate_run

    run = run_dir.find(tmp_path, "last")
    evaluating = evaluate_run(run, run.config(), "last", "test")
    while True:
        try:
            next(evaluating)
        except StopIteration as end:
            scores, _ = end.value
            break
    assert scores.loss == pytest.approx(of(averaged, ev.Evaluated)[-1].loss, rel=1e-5)


def test_a_run_that_cannot_begin_leaves_nothing(tmp_path: Path) -> None:
    thread = engine.start(tiny(train__batch_size=128), runs=tmp_path / "runs")
    with pytest.raises(UserError, match="batch_size"):
        thread.result()
    assert not (tmp_path / "runs").exists()


def test_stop_at_the_end_of_an_epoch_leaves_its_evaluation_to_the_resume(tmp_path: Path) -> None:
    control, on_event = act_at(5, StopNow())
    events = train(tiny(telemetry__every_steps=1), tmp_path, control=control, on_event=on_event)
    assert of(events, ev.Evaluated) == []
    run = run_dir.find(tmp_path, "last")
    rest = train(run.config(), resume=run)
    assert [(e.step, e.epoch) for e in of(rest, ev.Evaluated)] == [(5, 1), (10, 2)]


def test_what_a_person_changed_survives_a_stop_at_the_same_step(tmp_path: Path) -> None:
    changes = (CheckpointNow(), SetLearningRate(lr=0.01), ExtendEpochs(epochs=3), StopNow())
    control, on_event = act_at(3, *changes)
    train(tiny(telemetry__every_steps=1), tmp_path, control=control, on_event=on_event)
    run = run_dir.find(tmp_path, "last")
    rest = train(run.config(), resume=run)
    assert of(rest, ev.RunStarted)[0].epochs == 5
    assert of(rest, ev.Step)[0].lr == pytest.approx(0.01)
    assert outcome(rest).steps == 25


def test_more_epochs_at_a_resume_are_the_number_that_was_given(tmp_path: Path) -> None:
    control, on_event = act_at(3, ExtendEpochs(epochs=2))
    train(tiny(), tmp_path, control=control, on_event=on_event)
    run = run_dir.find(tmp_path, "last")
    again = run.config().model_copy(update={"train": run.config().train.model_copy(update={"epochs": 6})})
    assert outcome(train(again, resume=run)).epochs == 6


def test_a_pause_loses_no_telemetry() -> None:
    messages = (Pause(), Resume(), Resume())
    recorded: list[int] = []
    control = Control()

    def on_event(event: ev.Event) -> None:
        if isinstance(event, ev.EpochStarted):
            for message in messages:
                control.send(message)
        if isinstance(event, ev.Step):
            recorded.append(event.images)

    train(tiny(telemetry__every_steps=5), control=control, on_event=on_event)
    assert sum(recorded) == 2 * 72


@pytest.mark.parametrize(
    "changed", [{"data__synthetic_size": 36}, {"data__synthetic_classes": 4}, {"model__depth": 14}]
)
def test_a_resume_with_other_data_or_network_is_refused(tmp_path: Path, changed: dict[str, int]) -> None:
    control, on_event = act_at(4, StopNow())
    train(tiny(telemetry__every_steps=1), tmp_path, control=control, on_event=on_event)
    run = run_dir.find(tmp_path, "last")
    before = run.events.read_bytes()
    thread = EngineThread(tiny(telemetry__every_steps=1, **changed), resume=run)
    thread.start()
    with pytest.raises(UserError):
        thread.result()
    assert run.events.read_bytes() == before
    assert not run.is_alive()


def test_weights_that_are_no_numbers_are_never_saved_nor_chosen(tmp_path: Path) -> None:
    config = tiny(train__epochs=1, train__batch_size=64, optim__lr=100, optim__weight_decay=10, model__shortcut="C")
    config = config.model_copy(update={"data": config.data.model_copy(update={"synthetic_size": 66})})
    events = train(config, tmp_path)
    assert outcome(events).outcome == "diverged"
    assert "test loss of epoch 1" in outcome(events).reason
    assert "best" not in [e.which for e in of(events, ev.CheckpointSaved)]
    assert outcome(events).best_accuracy is None


def test_a_message_sent_before_the_run_begins_is_obeyed() -> None:
    control = Control()
    control.send(SetLearningRate(lr=0.003))
    events = train(tiny(telemetry__every_steps=1), control=control)
    assert [e.lr for e in of(events, ev.Step)] == pytest.approx([0.003] * 10)


def test_a_damaged_checkpoint_is_passed_over_with_a_warning(tmp_path: Path) -> None:
    train(tiny(), tmp_path)
    run = run_dir.find(tmp_path, "last")
    run.last.write_bytes(run.last.read_bytes()[:-3])
    more = run.config().model_copy(update={"train": run.config().train.model_copy(update={"epochs": 3})})
    events = train(more, resume=run)
    assert "last.safetensors: damaged" in of(events, ev.Warned)[0].message
    assert outcome(events).outcome == "completed"


def test_a_sink_that_cannot_be_closed_does_not_keep_the_run_locked(tmp_path: Path) -> None:
    class Stuck(Recorder):
        def close(self) -> None:
            raise OSError(28, "No space left on device")

    thread = EngineThread(tiny(), runs=tmp_path, sinks=[Stuck()])
    thread.start()
    assert thread.result().outcome == "completed"
    assert not run_dir.find(tmp_path, "last").is_alive()


def test_the_generator_alone_is_a_whole_run() -> None:
    """``engine.train.train`` without thread, sinks or disk."""
    events = list(iterate(tiny()))
    assert LEGAL_ORDER.fullmatch(letters(events))
    assert outcome(events).steps == 10
    assert of(events, ev.CheckpointSaved) == []
