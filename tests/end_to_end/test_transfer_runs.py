"""Real, tiny runs that begin with weights from elsewhere."""

from __future__ import annotations

import hashlib
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from support import LEGAL_ORDER, letters, of, outcome, stop_at, tiny, train
from torch import Tensor
from torch.nn import functional as F
from weights_support import load, network

from engine import events as ev
from engine import run_dir
from engine.checkpoint import load_checkpoint, save_checkpoint
from engine.config import RunConfig
from engine.data.pipeline import train_batches
from engine.errors import UserError
from engine.models import build_initialised
from engine.run_dir import RunDir
from engine.train import train as iterate

STEPS = 5
"""An epoch of ``tiny``."""
HEAD = ("head.linear.weight", "head.linear.bias")
CPU = torch.device("cpu")


def tensors(path: Path, prefix: str = "model.") -> dict[str, Tensor]:
    """Return those tensors of a checkpoint that begin with ``prefix``, without it."""
    return {key.removeprefix(prefix): value for key, value in load_file(path).items() if key.startswith(prefix)}


def digest(path: Path) -> str:
    found = hashlib.sha256()
    for name, tensor in sorted(load_file(path).items()):
        found.update(name.encode() + tensor.numpy().tobytes())
    return found.hexdigest()


def losses(events: list[ev.Event]) -> dict[int, float]:
    return {event.step: event.loss for event in of(events, ev.Step)}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """A finished run of three classes."""
    runs = tmp_path_factory.mktemp("source")
    assert outcome(train(tiny(), runs)).outcome == "completed"
    return run_dir.find(runs, "last")


def from_source(source: RunDir, **settings: object) -> RunConfig:
    given: dict[str, object] = {"weights__source": str(source.path), "telemetry__every_steps": 1, "train__seed": 2}
    return tiny(**given | settings)


def to_other_classes(source: RunDir, **settings: object) -> RunConfig:
    """Four classes instead of three, the carried parameters frozen for two of three epochs."""
    given: dict[str, object] = {
        "data__synthetic_classes": 4,
        "weights__head": "fresh",
        "weights__frozen_epochs": 2,
        "train__epochs": 3,
    }
    return from_source(source, **given | settings)


def test_the_event_says_what_was_carried(source: RunDir, tmp_path: Path) -> None:
    events = train(to_other_classes(source, train__epochs=3), tmp_path)
    assert LEGAL_ORDER.fullmatch(letters(events))
    assert re.match("p*RlM", letters(events))
    (loaded,) = of(events, ev.WeightsLoaded)
    assert loaded.source == str(source.path)
    assert loaded.sha256 == hashlib.sha256(source.best.read_bytes()).hexdigest()
    assert (loaded.network, loaded.layout) == ("ResNet-8, shortcut A, 3 classes", "resnet-tui checkpoint")
    assert loaded.normalise == "unit"
    assert loaded.loaded == len(tensors(source.best)) - len(HEAD)
    assert (loaded.adapted, loaded.fresh, loaded.missing, loaded.left_out) == ((), HEAD, (), ())
    assert of(events, ev.Warned) == []
    assert outcome(events).outcome == "completed"
    run = run_dir.find(tmp_path, "last")
    assert f'source = "{source.path}"' in run.config_file.read_text()


def test_the_iterator_loads_weights_too(source: RunDir) -> None:
    config = from_source(source, weights__source=source.path.name, train__epochs=1)
    events = list(iterate(config, runs=source.path.parent))
    assert len(of(events, ev.WeightsLoaded)) == 1
    assert losses(events) == losses(train(from_source(source, train__epochs=1)))


def test_the_first_loss_is_that_of_the_sources_network(source: RunDir) -> None:
    from data_support import loaded

    config = from_source(source, train__epochs=1)
    dataset = loaded(dataset="synthetic", synthetic_size=72, synthetic_classes=3, image_size=16, seed=2)
    batch = next(iter(train_batches(dataset, config, CPU).epoch(1, 0)))
    theirs = network(load(str(source.path))).train()
    with torch.no_grad():
        expected = F.cross_entropy(theirs(batch.x), batch.y_B).item()
    first = of(train(config), ev.Step)[0]
    assert first.loss == pytest.approx(expected, rel=1e-5)
    random = of(train(tiny(train__seed=2, train__epochs=1, telemetry__every_steps=1)), ev.Step)[0]
    assert first.loss != pytest.approx(random.loss, rel=1e-2), "a control: random weights have another loss"


def test_frozen_epochs_train_only_what_is_fresh(source: RunDir, tmp_path: Path) -> None:
    config = to_other_classes(source, optim__weight_decay=0.01)
    saved: dict[int, dict[str, Tensor]] = {}

    def on_event(event: ev.Event) -> None:
        if isinstance(event, ev.CheckpointSaved) and event.which == "last":
            saved[event.step] = tensors(run_dir.find(tmp_path, "last").last)

    events = train(config, tmp_path, on_event=on_event)
    began = tensors(source.best)
    model = build_initialised(config.model, (3, 16, 16), 4, 2, CPU)
    parameters = [name for name, _ in model.named_parameters()]
    for name in parameters:
        if name in HEAD:
            assert not torch.equal(saved[2 * STEPS][name], model.state_dict()[name]), name
        else:
            assert torch.equal(saved[2 * STEPS][name], began[name]), name
            assert not torch.equal(saved[3 * STEPS][name], began[name]), f"{name} is not trained later"
    statistics = "stem.norm.running_mean"
    assert not torch.equal(saved[STEPS][statistics], began[statistics]), "the norms' statistics go on"
    (built,) = of(events, ev.ModelBuilt)
    assert built.blocks[-1] == "head"
    norms = {event.step: event.norms for event in of(events, ev.GradNorms)}
    assert sorted(norms) == list(range(1, 3 * STEPS + 1))
    for step, of_parts in norms.items():
        *carried, head = of_parts
        assert head > 0
        assert all((norm == 0) == (step <= 2 * STEPS) for norm in carried)


def test_the_factor_of_the_learning_rate(source: RunDir, tmp_path: Path) -> None:
    """One step of plain SGD changes what was carried in proportion to it, and the fresh head as ever."""
    one_step = {"weights__frozen_epochs": 0, "train__epochs": 1, "train__batch_size": 72, "optim__momentum": 0.0}
    after = {}
    for factor in (1.0, 0.1):
        config = to_other_classes(source, weights__lr_factor=factor, optim__lr=0.5, **one_step)
        events = train(config, tmp_path / str(factor))
        assert [(event.step, event.lr) for event in of(events, ev.Step)] == [(1, 0.5)]
        after[factor] = tensors(run_dir.find(tmp_path / str(factor), "last").last)
    began = tensors(source.best)
    for name, _ in build_initialised(tiny().model, (3, 16, 16), 4, 2, CPU).named_parameters():
        if name in HEAD:
            assert torch.equal(after[1.0][name], after[0.1][name])
            continue
        whole, tenth = (after[factor][name] - began[name] for factor in (1.0, 0.1))
        assert whole.abs().max() > 0
        torch.testing.assert_close(10 * tenth, whole, rtol=1e-3, atol=1e-5)


SETTINGS: list[dict[str, object]] = [
    {"weights__lr_factor": 0.3, "train__ema_decay": 0.9, "optim__weight_decay": 0.01},
    {"weights__lr_factor": 0.3, "optim__name": "adamw", "optim__clip_norm": 0.5},
]


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("at", [3, 10, 12])
def test_a_resumed_run_equals_one_left_alone_and_needs_no_source(
    source: RunDir, tmp_path: Path, at: int, settings: dict[str, object]
) -> None:
    """Stopped inside the frozen epochs, at their end, and later."""
    lent = RunDir(tmp_path / "lent")
    shutil.copytree(source.path, lent.path)
    config = to_other_classes(lent, schedule__name="cosine", **settings)
    alone = train(config, tmp_path / "alone")
    control, on_event = stop_at(at)
    part = train(config, tmp_path / "cut", control=control, on_event=on_event)
    assert outcome(part).steps == at
    shutil.rmtree(lent.path)
    cut = run_dir.find(tmp_path / "cut", "last")
    rest = train(cut.config(), resume=cut)
    assert LEGAL_ORDER.fullmatch(letters(rest))
    assert of(rest, ev.WeightsLoaded) == [], "it goes on from its checkpoint"
    assert losses(part) | losses(rest) == losses(alone)
    left_alone = run_dir.find(tmp_path / "alone", "last")
    assert digest(cut.last) == digest(left_alone.last)
    assert digest(cut.best) == digest(left_alone.best)


def test_resuming_without_knowing_what_was_carried_would_differ(source: RunDir, tmp_path: Path) -> None:
    """A control: the comparison above notices it."""
    config = to_other_classes(source)
    control, on_event = stop_at(3)
    train(config, tmp_path / "cut", control=control, on_event=on_event)
    train(config, tmp_path / "alone")
    cut = run_dir.find(tmp_path / "cut", "last")
    kept, state = load_checkpoint(cut.last)
    assert state.carried
    save_checkpoint(cut.last, kept, replace(state, carried=()))
    train(cut.config(), resume=cut)
    assert digest(cut.last) != digest(run_dir.find(tmp_path / "alone", "last").last)


@pytest.mark.parametrize("change", [{"weights__lr_factor": 0.5}, {"weights__frozen_epochs": 1}])
def test_changed_weights_are_refused_at_a_resume(source: RunDir, tmp_path: Path, change: dict[str, object]) -> None:
    control, on_event = stop_at(3)
    train(to_other_classes(source), tmp_path, control=control, on_event=on_event)
    run = run_dir.find(tmp_path, "last")
    with pytest.raises(UserError, match=r"\[weights\] of the run's config\.toml was changed"):
        train(to_other_classes(source, **change), resume=run)


def test_a_refused_source_leaves_no_run_behind(source: RunDir, tmp_path: Path) -> None:
    for config, words in (
        (from_source(source, data__synthetic_classes=4), r"head\.linear\.weight .*weights\.head=fresh"),
        (from_source(source, weights__frozen_epochs=1), r"weights\.frozen_epochs = 1: every tensor"),
        (from_source(source, weights__source="nothing"), "there are no weights at 'nothing'"),
    ):
        with pytest.raises(UserError, match=words):
            train(config, tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_loaded_weights_are_pruned_before_the_first_step(source: RunDir, tmp_path: Path) -> None:
    config = from_source(source, prune__amount=0.5, prune__after_epochs=0)
    alone = train(config, tmp_path / "alone")
    assert re.match("p*RlME[yavcpw]*xs", letters(alone))
    assert LEGAL_ORDER.fullmatch(letters(alone))
    (pruned,) = of(alone, ev.Pruned)
    assert (pruned.step, pruned.epoch, pruned.zeros) == (0, 1, round(0.5 * pruned.weights))
    left_alone = run_dir.find(tmp_path / "alone", "last")
    last = tensors(left_alone.last)
    matrices = {name: tensor for name, tensor in tensors(source.best).items() if tensor.dim() > 1}
    assert matrices
    for name, began in matrices.items():
        assert torch.equal(last[name] == 0, began.abs() <= pruned.threshold), f"{name}: not the source's smallest"
    control, on_event = stop_at(7)
    train(config, tmp_path / "cut", control=control, on_event=on_event)
    cut = run_dir.find(tmp_path / "cut", "last")
    assert of(train(cut.config(), resume=cut), ev.Pruned) == []
    assert digest(cut.last) == digest(left_alone.last)


def test_another_normalisation_than_the_sources_is_warned_of(source: RunDir) -> None:
    (warned,) = of(train(from_source(source, data__normalise="half", train__epochs=1)), ev.Warned)
    assert "normalised as 'unit', and this run has 'half'; --set data.normalise=unit" in warned.message


def test_weights_that_fit_a_network_that_computes_something_else_are_warned_of(source: RunDir) -> None:
    (warned,) = of(train(from_source(source, model__shortcut="none", train__epochs=1)), ev.Warned)
    assert "of another network: shortcut A there, none here" in warned.message
