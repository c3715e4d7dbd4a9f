"""Which weights are pruned, that they stay zero, and what is said of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from made_run import MadeRun
from support import tiny
from torch import Tensor, nn

from engine.config import RunConfig
from engine.data.pipeline import Batch
from engine.events import Event, Pruned
from engine.learner import Learner
from engine.pruning import compressed_bytes, hold_zeros, keep_largest, prunable, prune
from engine.sinks import report
from engine.summary import RunSummary


def learner(**settings: object) -> Learner:
    return Learner(tiny(**settings), (3, 16, 16), 3, torch.device("cpu"))


def train(trained: Learner, steps: int = 3) -> None:
    random = torch.Generator().manual_seed(1)
    for _ in range(steps):
        x_BCHW = torch.randn(16, 3, 16, 16, generator=random)
        trained.accumulate_gradient(Batch(x_BCHW, torch.arange(16) % 3, None, 1.0))
        trained.update(0.05)


def zeros(model: nn.Module) -> dict[str, Tensor]:
    return {name: weight == 0 for name, weight in prunable(model).items()}


def count(masks: dict[str, Tensor]) -> int:
    return sum(int(mask.sum()) for mask in masks.values())


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("amount", [0.001, 0.3, 0.5, 0.95])
def test_the_smallest_of_all_layers_together_are_chosen(amount: float) -> None:
    model = learner().model
    weights = prunable(model)
    all_N = torch.cat([weight.detach().abs().flatten() for weight in weights.values()])
    removed = round(amount * len(all_N))
    limit = all_N.kthvalue(removed).values
    masks = keep_largest(weights, amount)
    assert sum(int((~mask).sum()) for mask in masks.values()) == removed
    for name, weight in weights.items():
        assert torch.equal(masks[name], weight.abs() > limit)  # no two are equal here
    shares = [float((~mask).float().mean()) for mask in masks.values()]
    assert amount < 0.1 or max(shares) - min(shares) > 0.05  # a choice for each layer would give equal shares


def test_only_weights_of_convolutions_and_linear_layers_are_pruned() -> None:
    trained = learner(model__shortcut="C", train__ema_decay=0.9)
    before = {name: value.clone() for name, value in trained.model.state_dict().items()}
    order = [name for name, _ in trained.model.named_parameters()]
    event = prune(trained, 0.5, step=5, epoch=2)
    after = trained.model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == set(prunable(trained.model))
    assert changed == {name for name, p in trained.model.named_parameters() if p.ndim > 1}
    assert order == [name for name, _ in trained.model.named_parameters()]
    kept = {name: after[name] != 0 for name in changed}
    assert all(torch.equal(before[name][kept[name]], after[name][kept[name]]) for name in changed)
    assert event.threshold == max(float(before[name][~kept[name]].abs().max()) for name in changed)
    assert (event.step, event.epoch, event.amount) == (5, 2, 0.5)


def test_the_event_counts_what_became_zero_in_each_part() -> None:
    trained = learner()
    event = prune(trained, 0.5, step=5, epoch=2)
    masks = zeros(trained.model)
    assert event.weights == sum(mask.numel() for mask in masks.values())
    assert event.zeros == count(masks) == round(0.5 * event.weights)
    assert [part for part, _, _ in event.parts] == list(trained.gradients.parts)
    assert event.zeros == sum(z for _, _, z in event.parts)
    assert event.weights == sum(weights for _, weights, _ in event.parts)
    head = masks["head.linear.weight"]
    assert event.parts[-1] == ("head", head.numel(), int(head.sum()))
    assert 0.5 < event.compressed_after / event.compressed_before < 0.75
    assert event.compressed_after == compressed_bytes(trained.model)


OPTIMISERS: list[dict[str, object]] = [
    {"optim__weight_decay": 0.01},
    {"optim__weight_decay": 0.01, "optim__nesterov": True, "optim__clip_norm": 0.1},
    {"optim__name": "adam", "optim__weight_decay": 0.01},
    {"optim__name": "adamw", "optim__weight_decay": 0.01, "optim__accumulate": 2},
]


@pytest.mark.parametrize("settings", OPTIMISERS)
def test_zeros_stay_zero_in_weights_and_average(settings: dict[str, object]) -> None:
    trained = learner(train__ema_decay=0.9, **settings)
    train(trained)
    prune(trained, 0.5, step=3, epoch=2)
    masks, kept = zeros(trained.model), trained.model.head.linear.weight.detach().clone()  # type: ignore[union-attr, operator]
    assert trained.average is not None
    assert same(zeros(trained.average.module), masks)
    train(trained, 4)
    assert same(zeros(trained.model), masks)
    assert same(zeros(trained.average.module), masks)
    assert not torch.equal(trained.model.head.linear.weight, kept)  # type: ignore[union-attr, arg-type]
    signs = [weight[weight == 0].signbit().any() for weight in prunable(trained.model).values()]
    assert not any(signs)  # -0.0 would compress worse


@pytest.mark.parametrize("settings", OPTIMISERS)
def test_without_clearing_the_momentum_zeros_would_come_back(settings: dict[str, object]) -> None:
    """A control: the test above notices momentum that was left."""
    trained = learner(**settings)
    train(trained)
    momentum = {p: {k: v.clone() for k, v in s.items()} for p, s in trained.optimiser.state.items()}
    prune(trained, 0.5, step=3, epoch=2)
    masks = zeros(trained.model)
    trained.optimiser.state.update(momentum)
    train(trained, 1)
    assert not same(zeros(trained.model), masks)


def test_gradient_norms_are_of_what_is_trained() -> None:
    trained = learner()
    x_BCHW = torch.randn(16, 3, 16, 16, generator=torch.Generator().manual_seed(2))
    batch = Batch(x_BCHW, torch.arange(16) % 3, None, 1.0)
    prune(trained, 0.9, step=0, epoch=1)
    trained.accumulate_gradient(batch)
    for weight in prunable(trained.model).values():
        assert weight.grad is not None
        assert not weight.grad[weight == 0].any()
        assert weight.grad.any()
    squares = sum(float(p.grad.square().sum()) for p in trained.model.parameters() if p.grad is not None)
    assert float(trained.gradients.norms().square().sum()) == pytest.approx(squares, rel=1e-4)


def test_zeros_from_a_checkpoint_are_held() -> None:
    first, second = learner(optim__name="adam"), learner(optim__name="adam", train__seed=2)
    train(first)
    prune(first, 0.5, step=3, epoch=2)
    masks = zeros(first.model)
    second.restore({name: tensor.clone() for name, tensor in first.tensors().items()})
    hold_zeros(second.model)
    for trained in (first, second):
        train(trained)
        assert same(zeros(trained.model), masks)
    assert same(first.model.state_dict(), second.model.state_dict())


def test_weights_that_are_zero_already_are_the_first_to_go() -> None:
    trained = learner()
    prune(trained, 0.5, step=0, epoch=1)
    masks = zeros(trained.model)
    again = learner()
    again.restore({name: tensor.clone() for name, tensor in trained.tensors().items()})
    event = prune(again, 0.2, step=0, epoch=1)
    assert (event.zeros, event.threshold) == (count(masks), 0.0)
    train(again)
    assert same(zeros(again.model), masks)


def test_frozen_weights_are_pruned_and_stay_so_when_thawed() -> None:
    trained = learner()
    frozen = list(trained.model.parameters())[:5]
    for parameter in frozen:
        parameter.requires_grad_(False)
    prune(trained, 0.5, step=0, epoch=1)
    masks = zeros(trained.model)
    assert not any(parameter.requires_grad for parameter in frozen)
    train(trained)
    for parameter in frozen:
        parameter.requires_grad_(True)
    before = frozen[0].detach().clone()
    train(trained)
    assert not torch.equal(frozen[0], before)
    assert same(zeros(trained.model), masks)


def test_an_infinite_gradient_is_not_hidden_by_the_mask() -> None:
    """Float16's scaler must see that a step is to be skipped."""
    trained = learner()
    prune(trained, 0.5, step=0, epoch=1)
    weight = prunable(trained.model)["head.linear.weight"]
    (weight.sum() * float("inf")).backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None
    assert not weight.grad.isfinite().any()


# What is said of it -------------------------------------------------------------------------------------------------

PRUNED = Pruned(
    step=20,
    epoch=3,
    amount=0.5,
    weights=268_336,
    zeros=134_168,
    parts=(("stem", 432, 43), ("stage1.block1", 200_000, 130_000), ("head", 67_904, 4_125)),
    threshold=0.01234,
    compressed_before=1_000_000,
    compressed_after=600_000,
)


class PrunedRun(MadeRun):
    @property
    def config(self) -> RunConfig:
        config = super().config
        return config.model_copy(update={"prune": config.prune.model_copy(update={"amount": 0.5, "after_epochs": 2})})

    def pruned_epoch(self, epoch: int) -> Iterator[Event]:
        started, *steps = self.epoch(epoch)
        yield started
        yield self.at(PRUNED)
        yield from steps


def fold(summary: RunSummary, *events: Event) -> RunSummary:
    for event in events:
        summary.apply(event)
    return summary


def trained_run(run: MadeRun, accuracies: tuple[float, ...], first: int = 1) -> Iterator[Event]:
    for epoch, accuracy in enumerate(accuracies, first):
        yield from run.epoch(epoch)
        yield from run.end_epoch(epoch, accuracy)


def test_a_person_is_told_when_it_happens() -> None:
    said = report.pruning(PRUNED)
    assert "pruned 50.00 % of 268,336 weights before epoch 3, none larger than 0.0123" in said
    assert "from 6.07 % of head to 65.00 % of stage1.block1" in said


def test_the_closing_report_compares_size_and_speed() -> None:
    run = PrunedRun(4)
    summary = fold(RunSummary(), *run.begin(), *trained_run(run, (0.8, 0.9)), *run.pruned_epoch(3))
    assert summary.best() is None
    fold(summary, *run.end_epoch(3, 0.5), *trained_run(run, (0.6,), first=4), run.finish())
    facts = dict(report.closing(summary, None))
    assert "134,168 of 268,336 weights" in facts["pruned"]
    assert "134,168 are left" in facts["pruned"]
    assert "976.6 KiB before, 585.9 KiB after" in facts["pruned"]
    assert "as many operations and no other speed, because dense kernels multiply zeros too" in facts["pruned"]
    assert facts["before pruning"] == "90.00 % test, epoch 2: the best epoch of the unpruned network"
    assert "8.0 images/s before (median of 2 epochs), 8.0 after (2 epochs)" in facts["pruned"]
    assert (
        facts["best accuracy"] == "60.00 % test, epoch 4: the highest test accuracy of all epochs since the pruning"
    )


def test_without_an_epoch_before_no_speeds_are_compared() -> None:
    run = PrunedRun(4)
    closing = report.closing(fold(RunSummary(), *run.begin(), *run.pruned_epoch(3), *run.end_epoch(3, 0.5)), None)
    assert dict(closing)["pruned"].endswith("multiply zeros too")


def test_a_run_that_ended_before_says_so_and_one_without_pruning_is_silent() -> None:
    run = PrunedRun(4)
    summary = fold(RunSummary(), *run.begin(), *trained_run(run, (0.8,)), run.finish("stopped"))
    assert dict(report.closing(summary, None))["pruned"].startswith("nothing: the run ended before epoch 3")
    assert "pruned" not in dict(report.closing(fold(RunSummary(), *MadeRun(1).whole([0.5])), None))


@pytest.mark.parametrize(("resumed_at", "remembered"), [(10, False), (20, False), (21, True), (30, True)])
def test_a_resume_forgets_a_pruning_that_its_checkpoint_does_not_hold(resumed_at: int, *, remembered: bool) -> None:
    run = PrunedRun(4)
    summary = fold(RunSummary(), *run.begin(), *trained_run(run, (0.8, 0.9)), *run.pruned_epoch(3))
    fold(summary, *run.end_epoch(3, 0.5), *run.begin(resumed_at=resumed_at))
    assert (summary.pruned is not None) == remembered
    best = summary.best()
    expected = {10: 1, 20: 2, 21: None, 30: 3}[resumed_at]
    assert (best.epoch if best else None) == expected
    assert set(summary.evaluation_speeds) == set(range(1, resumed_at // 10 + 1))


def test_speeds_of_another_device_are_not_compared() -> None:
    run = PrunedRun(4)
    summary = fold(RunSummary(), *run.begin(), *trained_run(run, (0.8, 0.9)), *run.pruned_epoch(3))
    summary.device = "another"
    fold(summary, *run.end_epoch(3, 0.5), *run.begin(resumed_at=30))
    assert summary.evaluation_speeds == {}
