"""torch.compile as a choice: said, off the clock, and never what ends a run."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from support import of, tiny, train
from torch import Tensor, nn

from engine.events import Progress, RunFinished, Step, Warned

EAGER = tiny(train__precision="float32")
COMPILED = tiny(train__precision="float32", train__compile=True)


class Stub:
    """Stands in for torch.compile, which takes long: notes the sizes of the batches that it is given."""

    def __init__(self, failure: Callable[[nn.Module, Tensor], Tensor] | None = None) -> None:
        self.failure, self.sizes = failure, list[int]()

    def __call__(self, model: nn.Module, **_: Any) -> Callable[[Tensor], Tensor]:
        def run(x: Tensor) -> Tensor:
            self.sizes.append(len(x))
            return self.failure(model, x) if self.failure else model(x)

        return run


class FailsBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        raise RuntimeError("no compiler for the backward pass")


def fails_forward(model: nn.Module, x: Tensor) -> Tensor:
    raise RuntimeError("no compiler\nwith a long explanation")


def fails_backward(model: nn.Module, x: Tensor) -> Tensor:
    output: Tensor = FailsBackward.apply(model(x))  # the running statistics of the norms have moved by now
    return output


def test_it_is_said_and_full_batches_alone_are_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    stub = Stub()
    monkeypatch.setattr(torch, "compile", stub)
    events = train(COMPILED)
    assert any(event.activity == "compiling the network" for event in of(events, Progress))
    assert [event.message for event in of(events, Warned)] == ["the network is compiled; that took 0 s"]
    assert stub.sizes == [16] * 8  # and not the 8 images at the end of each epoch
    assert [step.loss for step in of(events, Step)] == [step.loss for step in of(train(EAGER), Step)]


@pytest.mark.parametrize("failure", [fails_forward, fails_backward])
def test_a_compile_that_fails_costs_nothing_but_its_time(
    monkeypatch: pytest.MonkeyPatch, failure: Callable[[nn.Module, Tensor], Tensor]
) -> None:
    monkeypatch.setattr(torch, "compile", Stub(failure))
    events = train(COMPILED)
    (warning,) = of(events, Warned)
    assert "torch.compile failed" in warning.message
    assert "RuntimeError: no compiler" in warning.message
    assert "explanation" not in warning.message
    assert of(events, RunFinished)[0].outcome == "completed"
    assert [step.loss for step in of(events, Step)] == [step.loss for step in of(train(EAGER), Step)]
