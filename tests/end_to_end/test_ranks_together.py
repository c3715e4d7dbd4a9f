"""Two ranks without a launcher, in forked processes: what differs between them must not make them differ."""

from __future__ import annotations

import errno
import math
import multiprocessing
import os
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from support import Recorder, of, outcome, tiny, train
from torch import Tensor, nn

from engine.checkpoint import load_checkpoint
from engine.config import RunConfig
from engine.event_log import read_events
from engine.events import RunFinished, Step, Warned
from engine.learner import Learner
from engine.parallel.ranks import Rank
from engine.run_dir import RunDir, find
from engine.thread import EngineThread

pytestmark = [
    pytest.mark.usefixtures("loopback"),
    pytest.mark.skipif(sys.platform == "win32", reason="there is no fork"),
]

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["engine.loop", "engine.data.synthetic", "torch._dynamo"])  # torch, once for all
Breaking = Callable[[Learner], None]
FROM_STEP = 3


def together(
    config: RunConfig, runs: Path, breaking: Breaking | None = None, first: Breaking | None = None
) -> list[RunFinished]:
    """Train in two processes, of which rank 1's learner is broken; return how each says that the run ended.

    Args:
        config: the run.
        runs: the folder that gets it.
        breaking: breaks rank 1's learner.
        first: breaks rank 0's.
    """
    port = free_port()
    pipes = [_processes.Pipe(duplex=False) for _ in range(2)]
    ranks = [
        _processes.Process(target=_train, args=(number, port, config, runs, breaking if number else first, pipe))
        for number, (_, pipe) in enumerate(pipes)
    ]
    for rank in ranks:
        rank.start()
    try:
        told = []
        for receiver, _ in pipes:
            assert receiver.poll(60), "a rank hangs"
            told.append(receiver.recv())
    finally:
        for rank in ranks:
            rank.kill()
            rank.join()
    return told


def free_port() -> int:
    """Return a port that nobody is given who asks for any: not one of the ephemeral ones."""
    for port in range(20_000 + os.getpid() % 10_000, 32_000):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("no port is free")


def _train(
    number: int, port: int, config: RunConfig, runs: Path, breaking: Breaking | None, pipe: Connection
) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "RANK": str(number), "WORLD_SIZE": "2"}
    if breaking is not None:
        made = Learner.__init__

        def make_broken(learner: Learner, *given: Any) -> None:
            made(learner, *given)
            breaking(learner)

        Learner.__init__ = make_broken  # type: ignore[method-assign,assignment]
    recorder = Recorder()
    rank = Rank(number, 2, number, 2)
    thread = EngineThread(
        config if number == 0 else RunConfig(), runs=runs if number == 0 else None, sinks=[recorder], rank=rank
    )
    thread.start()
    pipe.send(thread.result())
    os._exit(0)  # as a rank does: its connections end with it, and the other notices


def after_passes(model: nn.Module, layer: str, passes: int, act: Callable[[Tensor], Tensor]) -> None:
    """Let ``act`` change the output of ``layer`` from so many training passes on."""
    seen = 0

    def hook(module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        nonlocal seen
        seen += module.training
        return act(output) if seen > passes else output

    model.get_submodule(layer).register_forward_hook(hook)


def make_undefined(learner: Learner) -> None:
    after_passes(learner.model, "stage2.block1.conv1", FROM_STEP, lambda output: output * math.nan)


def fail(learner: Learner) -> None:
    def raise_error(_output: Tensor) -> Tensor:
        raise ValueError("something odd")

    after_passes(learner.model, "stem.conv", FROM_STEP, raise_error)


def fail_evaluating(learner: Learner) -> None:
    def hook(module: nn.Module, _inputs: Any, _output: Tensor) -> None:
        if not module.training:
            raise ValueError("something odd")

    learner.model.get_submodule("stem.conv").register_forward_hook(hook)


def lose_finite_weights(learner: Learner) -> None:
    learner.is_finite = lambda: False  # type: ignore[method-assign]


def lose_folder(learner: Learner) -> None:
    def fails() -> Any:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "last.safetensors")

    learner.tensors = fails  # type: ignore[method-assign]


TWO = tiny(train__processes=2, train__precision="float32", telemetry__every_steps=1)


def test_a_loss_that_is_undefined_in_one_rank_ends_all_with_the_same_words(tmp_path: Path) -> None:
    first, second = together(TWO, tmp_path, make_undefined)
    assert (first.outcome, first.reason) == (second.outcome, second.reason)
    assert first.outcome == "diverged"
    assert f"at step {FROM_STEP + 1}, batch {FROM_STEP + 1} of 5" in first.reason
    assert "came out of stage2.block1 (stage2.block1.conv1)" in first.reason
    assert first.steps == second.steps == FROM_STEP, "nothing was learned from it"


def test_an_error_of_one_rank_is_the_reason_and_the_last_step_is_saved(tmp_path: Path) -> None:
    first, second = together(TWO, tmp_path, fail)
    assert second.reason == "ValueError: something odd"
    assert first.outcome == "failed"
    assert first.reason.startswith(f"rank 1 on {socket.gethostname()}: ValueError: something odd; saved as of step 3")
    _, state = load_checkpoint(find(tmp_path, "last").last)
    assert state.step == first.steps == FROM_STEP


def test_what_was_saved_before_a_rank_is_lost_is_told_too(tmp_path: Path) -> None:
    first, _ = together(TWO, tmp_path, fail_evaluating)
    assert first.outcome == "failed"
    assert first.reason.endswith("ValueError: something odd; saved as of step 5")
    assert load_checkpoint(find(tmp_path, "last").last)[1].step == first.steps == 5


@pytest.mark.parametrize(
    ("losing", "why"),
    [(lose_finite_weights, "the weights became infinite"), (lose_folder, "last.safetensors: No such file")],
)
def test_a_last_step_that_cannot_be_saved_is_told_in_the_last_event(
    tmp_path: Path, losing: Breaking, why: str
) -> None:
    first, _ = together(TWO, tmp_path, fail, losing)
    assert first.outcome == "failed"
    assert f"ValueError: something odd; saving step 3 failed: {why}" in first.reason
    assert list(read_events(find(tmp_path, "last").events))[-1].kind == "run_finished"


def test_everything_else_is_as_in_one_process_too(tmp_path: Path) -> None:
    """Frozen weights that thaw, pruning, mixup, smoothing, an average, adamw, batches in parts."""
    train(tiny(train__epochs=1), tmp_path / "source")
    settings: dict[str, Any] = {
        "weights__source": str(find(tmp_path / "source", "last").path),
        "weights__frozen_epochs": 1,
        "weights__head": "fresh",
        "prune__amount": 0.3,
        "prune__after_epochs": 2,
        "data__mixup": 0.4,
        "data__cutout": 4,
        "train__epochs": 3,
        "train__label_smoothing": 0.1,
        "train__ema_decay": 0.9,
        "train__precision": "float32",
        "optim__name": "adamw",
        "optim__lr": 0.001,
        "telemetry__every_steps": 1,
    }
    alone = train(tiny(**settings, optim__accumulate=4), tmp_path / "alone")
    first, second = together(tiny(**settings, optim__accumulate=2, train__processes=2), tmp_path / "together")
    assert first.outcome == second.outcome == outcome(alone).outcome == "completed"
    events = list(read_events(find(tmp_path / "together", "last").events))
    assert [warned.message for warned in of(events, Warned)] == [warned.message for warned in of(alone, Warned)]
    losses, expected = ([step.loss for step in of(those, Step)] for those in (events, alone))
    assert len(losses) == 15
    assert losses == pytest.approx(expected, rel=1e-6)


def test_what_one_rank_saw_is_not_saved_as_what_all_saw(tmp_path: Path) -> None:
    """Running norm statistics are the mean of the ranks': the moving means of the whole batches, but to rounding."""
    config = tiny(train__epochs=1, train__precision="float32", optim__lr=1e-9)
    train(config, tmp_path / "alone")
    together(config.model_copy(update={"train": config.train.model_copy(update={"processes": 2})}), tmp_path / "two")
    alone, two = (_running_mean(find(tmp_path / name, "last")) for name in ("alone", "two"))
    assert two == pytest.approx(alone, rel=1e-4)


def _running_mean(run: RunDir) -> list[float]:
    tensors, _ = load_checkpoint(run.last)
    values: list[float] = tensors["model.stem.norm.running_mean"].tolist()
    return values
