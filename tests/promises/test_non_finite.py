"""A loss that is not finite ends the run before it changes a weight, and the reason says where it came from."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from support import Cli, of, outcome, tiny, train
from torch import Tensor, nn

from engine import evaluate_saved, run_dir
from engine.checkpoint import load_checkpoint
from engine.config import RunConfig
from engine.config_file import to_toml
from engine.control import Control
from engine.data import synthetic
from engine.data.sources import load
from engine.diagnosis import Guard, LossWatch
from engine.events import Event, Step
from engine.learner import Learner
from engine.loop import Trainer
from engine.run_dir import RunDir


def trainer(config: RunConfig) -> Trainer:
    """Return a run that is ready to begin."""
    loading = load(config.data, config.train.seed)
    while True:
        try:
            next(loading)
        except StopIteration as end:
            return Trainer(config, end.value, Control())


def break_output(model: nn.Module, layer: str, at: int, value: float) -> None:
    """Make one value of ``layer``'s output ``value`` from its training pass ``at`` (from 1) on."""
    passes = 0

    def after(module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        nonlocal passes
        passes += module.training
        if passes < at:
            return output
        broken = output.clone()
        broken.select(0, 0).select(0, 0).fill_(value)
        return broken

    model.get_submodule(layer).register_forward_hook(after)


LAYERS = ("stem.conv", "stage1.block1.conv2", "stage2.block1.conv1", "head.linear")
STEPS = ((1, math.nan), (8, math.inf), (10, -math.inf))


@pytest.mark.parametrize("at_once", [True, False], ids=["each loss", "at readings"])
def test_a_broken_layer_is_named_and_nothing_is_learned_from_it(
    tmp_path: Path, at_once: bool, figure: Callable[[str], None]
) -> None:
    config = tiny(train__epochs=3, telemetry__every_steps=3)
    for layer in LAYERS:
        for step, value in STEPS:
            run = run_dir.create(tmp_path, config)
            broken = trainer(config)
            broken.run_dir = run
            broken._losses = LossWatch(broken.learner, broken._batches, at_once=at_once)
            break_output(broken.learner.model, layer, step, value)
            events = list(broken.events())
            run.release()
            is_explained(events, layer, step)
            expected, weights = weights_after(config, step - 1), dict(broken.learner.model.named_parameters())
            assert all(torch.equal(expected[name], value) for name, value in weights.items()), "a weight has changed"
            kept(run, finished=(step - 1) // 5)
    count = len(LAYERS) * len(STEPS)
    figure(f"{count} of {count} broken layers named with step and batch, no weight changed, last good state kept")


def is_explained(events: list[Event], layer: str, step: int) -> None:
    """Assert that the run ended as diverged, with the layer, the step and the batch."""
    end = outcome(events)
    part = ".".join(layer.split(".")[:2]) if layer.startswith("stage") else layer.split(".")[0]
    assert end.outcome == "diverged"
    assert f"at step {step}, batch {(step - 1) % 5 + 1} of 5 (epoch {(step - 1) // 5 + 1}" in end.reason
    assert f"came out of {part} ({layer})" in end.reason
    assert all(math.isfinite(event.loss) for event in of(events, Step))


def weights_after(config: RunConfig, steps: int) -> dict[str, Tensor]:
    """Return the parameters of an unbroken run after ``steps``."""
    unbroken = trainer(config)
    if steps:
        epoch, in_epoch = divmod(steps - 1, 5)
        for number in range(1, epoch + 2):
            unbroken.learner.model.train()
            for batch in unbroken._batches.epoch(number):
                if unbroken.step == steps:
                    break
                list(unbroken._step(batch))
            unbroken.step_in_epoch, unbroken.epoch = 0, unbroken.epoch + 1
        assert unbroken.step == steps == 5 * epoch + in_epoch + 1
    return {name: value.detach().clone() for name, value in unbroken.learner.model.named_parameters()}


def kept(run: RunDir, *, finished: int) -> None:
    """Assert that the last checkpoint is that of the last finished epoch."""
    if finished:
        _, state = load_checkpoint(run.last)
        assert state.step == 5 * finished
    else:
        assert not run.last.exists()


def test_weights_and_pictures_that_are_not_finite_are_told_apart() -> None:
    weights = trainer(tiny())
    with torch.no_grad():
        weights.learner.model.get_parameter("stage3.block1.conv1.weight")[0, 0, 0, 0] = math.nan
    assert (
        "the weights of stage3.block1 (stage3.block1.conv1.weight) are not" in outcome(list(weights.events())).reason
    )

    pictures = trainer(tiny())
    epoch = pictures._batches.epoch

    def broken(number: int, first: int = 0) -> Any:
        for batch in epoch(number, first):
            batch.x[0, 0, 0, 0] = math.inf
            yield batch

    pictures._batches.epoch = broken  # type: ignore[method-assign, assignment]
    assert "the batch itself holds values that are not finite" in outcome(list(pictures.events())).reason


def test_a_run_has_diverged_also_where_what_it_came_from_cannot_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> str:
        raise MemoryError

    monkeypatch.setattr(Learner, "why_not_finite", fails)
    broken = trainer(tiny())
    break_output(broken.learner.model, "stem.conv", 2, math.nan)
    end = outcome(list(broken.events()))
    assert end.outcome == "diverged"
    assert "at step 2, batch 2 of 5 (epoch 1, learning rate 0.05). Start again" in end.reason


@pytest.mark.parametrize("kind", ["sgd", "adam", "adamw"])
def test_the_guard_holds_the_optimiser_back_from_then_on(kind: str) -> None:
    learner = trainer(tiny(optim__name=kind)).learner
    guard = Guard(learner.optimiser, learner.device)
    weight = next(learner.model.parameters())
    for step, loss in enumerate([1.0, math.nan, 1.0, math.inf]):
        before = weight.detach().clone()
        for parameter in learner.model.parameters():
            parameter.grad = torch.ones_like(parameter)
        guard.watch(torch.tensor(loss), step)
        learner.update(0.1)
        assert torch.equal(weight, before) == (step >= 1), f"step {step}"
    assert guard.first_step() == 1


OUT_OF_MEMORY = (
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried"),
    MemoryError(),
)


def test_out_of_memory_says_what_to_make_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    for error in OUT_OF_MEMORY:

        def fails(*_: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(Learner, "accumulate_gradient", fails)
        events: list[Event] = train(tiny())
        assert outcome(events).outcome == "failed"
        assert (
            "halve it with --batch-size 8, or split each batch with --set optim.accumulate=2"
            in outcome(events).reason
        )


def test_what_does_not_fit_into_memory_before_a_run_begins_is_one_message(
    tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    preset = tmp_path / "preset.toml"
    preset.write_text(to_toml(tiny()))
    for error in OUT_OF_MEMORY:

        def fails(*_: object, error: Exception = error) -> None:
            raise error

        for place in ("data", "network"):
            with monkeypatch.context() as patch:
                if place == "data":
                    patch.setattr(synthetic, "load", fails)
                else:
                    patch.setattr(Learner, "__init__", fails)
                ended = cli("train", "--headless", "--preset", str(preset))
            assert ended.returncode == 1
            said = [line for line in ended.stderr.splitlines() if not line.startswith("making")]
            assert len(said) == 1, "no traceback"
            assert said[0].startswith("error: the network and the data do not fit into memory; use a smaller network")
    assert not (tmp_path / "runs").exists()


def test_what_does_not_fit_into_memory_is_one_message_of_every_command_that_computes(
    tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    preset = tmp_path / "preset.toml"
    preset.write_text(to_toml(tiny()))
    assert cli("train", "--headless", "--preset", str(preset)).returncode == 0
    weights = str(run_dir.find(tmp_path / "runs", "last").best)
    data = ("--dataset", "synthetic", "--set", "data.synthetic_classes=3")
    for error in OUT_OF_MEMORY:

        def fails(*_: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(Learner, "accumulate_gradient", fails)
        monkeypatch.setattr(evaluate_saved, "evaluate_batches", fails)
        for command, smaller in (
            (("lr-find", "--preset", str(preset)), "use --batch-size 8, a smaller network, fewer"),
            (("eval", "last"), "use a smaller --set train.eval_batch_size, fewer"),
            (("eval", weights, *data), "use a smaller --set train.eval_batch_size, fewer"),
        ):
            ended = cli(*command)
            assert ended.returncode == 1
            said = ended.stderr.splitlines()[-1]
            assert said.startswith(f"error: the network and the data do not fit into memory; {smaller}"), said
            assert "Traceback" not in ended.stderr
