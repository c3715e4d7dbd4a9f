"""Every architecture learns, says what its gradients do, and comes back from its checkpoint as it was."""

from pathlib import Path
from typing import Any

import pytest
import torch
from support import LEGAL_ORDER, Recorder, letters, of, outcome

import engine
from engine import events as ev
from engine import loop, presets, run_dir
from engine.checkpoint import load_checkpoint, select
from engine.config import RunConfig
from engine.config_file import build_config
from engine.learner import Learner
from engine.models import build, on_device

MODELS: dict[str, dict[str, Any]] = {
    "resnet": {"depth": 8, "width": 0.5},
    "four stages": {"depth": 18, "width": 0.125},
    "bottlenecks": {"depth": 11, "block": "bottleneck", "width": 0.5},
    "pre-activation": {"depth": 8, "width": 0.5, "preactivation": True},
    "plain": {"depth": 8, "width": 0.5, "shortcut": "none"},
    "stride-2 stem": {"depth": 8, "stem": "stride2"},
    "highway": {"arch": "highway", "depth": 8, "width": 0.5},
    "densenet": {"arch": "densenet", "depth": 10, "growth": 4},
    "densenet-bc": {"arch": "densenet", "depth": 16, "growth": 4, "variant": "bc"},
    "inception-resnet": {"arch": "inception-resnet", "blocks": [1, 1, 1], "width": 0.25},
    "residual-mlp": {"arch": "residual-mlp"},
}
"""Small, so that an epoch takes a second or two on one core."""


def small_run(model: dict[str, Any]) -> RunConfig:
    """Return one epoch of about twenty steps, a reading every four."""
    rows = model.get("arch") == "residual-mlp"
    return build_config(
        {
            "name": "small",
            "model": model,
            "data": {"dataset": "iris"} if rows else {"dataset": "digits", "normalise": "half"},
            "optim": {"lr": 0.02 if rows else 0.1},
            "train": {"epochs": 1, "batch_size": 8 if rows else 64, "device": "cpu"},
            "telemetry": {"every_steps": 4},
        },
        {},
        "small",
    )


def train(config: RunConfig, runs: Path | None) -> list[ev.Event]:
    recorder = Recorder()
    engine.start(config, runs=runs, sinks=[recorder]).result()
    return recorder.events


@pytest.mark.parametrize("name", MODELS)
def test_it_learns_and_its_checkpoint_gives_the_same_logits(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learners: list[Learner] = []

    class Kept(Learner):
        """A learner that the test can ask for its network after the run."""

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            learners.append(self)

    monkeypatch.setattr(loop, "Learner", Kept)
    events = train(small_run(MODELS[name]), tmp_path)
    assert outcome(events).outcome == "completed"
    assert LEGAL_ORDER.fullmatch(letters(events))

    losses = [event.loss for event in of(events, ev.Step)]
    assert len(losses) > 1
    assert losses[-1] < losses[0] - 0.05

    (shapes,) = of(events, ev.ModelBuilt)
    norms = of(events, ev.GradNorms)
    assert norms
    assert all(len(event.norms) == len(shapes.blocks) and min(event.norms) > 0 for event in norms)

    (learner,) = learners
    trained = learner.model.eval()
    tensors, state = load_checkpoint(run_dir.find(tmp_path, "last").last)
    shape = shapes.rows[0].input
    again = build(state.config.model, shape, len(state.classes)).to_empty(device="cpu")
    again.load_state_dict(select(tensors, "model"))
    again = on_device(again, torch.device("cpu")).eval()
    x = torch.randn(16, *shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(again(x), trained(x))


def test_the_iris_preset_reaches_93_per_cent_by_its_last_epoch() -> None:
    tree, file = presets.load("iris")
    events = train(build_config(tree, {"train.device": ("--device", "cpu")}, file), None)
    evaluated = [event for event in of(events, ev.Evaluated) if event.split == "test"]
    assert [event.epoch for event in evaluated] == list(range(1, 101))
    assert evaluated[-1].accuracy >= 0.93
