"""``train.deterministic``: what it asks of torch, when it is given back, and what is said where it cannot be had.

What it makes of a GPU can be tried only where there is one.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from support import of, outcome, tiny, train

from engine import devices
from engine.data.pipeline import Batch
from engine.errors import UserError
from engine.events import Event, Step
from engine.learner import Learner
from engine.resume_check import prove
from engine.train import train as events_of
from resnet_tui.printing.progress import shown

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


def asked() -> tuple[bool, bool, bool]:
    cudnn = torch.backends.cudnn
    return torch.are_deterministic_algorithms_enabled(), cudnn.deterministic, cudnn.benchmark


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(WORKSPACE, raising=False)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)


def test_it_holds_while_a_run_trains_and_is_given_back(figure: Callable[[str], None]) -> None:
    before = asked()
    seen: list[tuple[bool, bool, bool]] = []

    def on_event(event: Event) -> None:
        if isinstance(event, Step):
            seen.append(asked())
            assert os.environ[WORKSPACE] == ":4096:8"

    exact = train(tiny(train__deterministic=True), on_event=on_event)
    assert set(seen) == {(True, True, False)}
    assert asked() == before == (False, False, True)
    for event in events_of(tiny(train__deterministic=True, train__epochs=1)):
        assert asked() == (True, True, False), event
    assert asked() == before
    usual = train(tiny(), on_event=lambda _: seen.append(asked()))
    assert seen[-1] == before
    losses = [[event.loss for event in of(events, Step)] for events in (exact, usual)]
    assert losses[0] == losses[1], "a CPU gives the same bits without it"
    figure(f"deterministic algorithms in {len(seen[:-1])} of {len(seen[:-1])} readings, given back after the run")


def test_an_operation_without_such_an_algorithm_ends_the_run_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Learner._loss

    def scattered(learner: Learner, logits_BK: torch.Tensor, batch: Batch) -> torch.Tensor:
        torch.zeros(4).put_(torch.tensor([1, 1]), torch.ones(2))  # which of two comes last is left open
        return real(learner, logits_BK, batch)

    monkeypatch.setattr(Learner, "_loss", scattered)
    ended = outcome(train(tiny(train__deterministic=True)))
    assert ended.outcome == "failed"
    assert "has no deterministic version on this device" in ended.reason
    assert "--set train.deterministic=false" in ended.reason
    assert "put_" in ended.reason
    assert outcome(train(tiny())).outcome == "completed"
    assert not asked()[0], "given back after a failure, too"


def test_a_process_that_has_used_cuda_already_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    with pytest.raises(UserError, match=WORKSPACE), devices.deterministic(wanted=True):
        pass
    monkeypatch.setenv(WORKSPACE, ":16:8")
    with devices.deterministic(wanted=True):
        assert os.environ[WORKSPACE] == ":16:8", "what a person chose stays"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_killed_run_is_resumed_to_the_bit_on_a_gpu(tmp_path: Path) -> None:
    found, control = shown(prove(tmp_path, "cuda"))
    assert found.difference == ""
    assert control.difference != ""
