"""The learning-rate range test as the engine gives it: what cannot be tried, and how it is told between processes."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from support import tiny

from engine.config_file import build_config
from engine.data.dataset import Dataset, Samples
from engine.errors import UserError, WorldError
from engine.events import Progress
from engine.helper_messages import (
    RangeTestWanted,
    Tried,
    decode_range_test,
    decode_told,
    encode_range_test,
    encode_told,
)
from engine.lr_find import find_lr, load_and_find_lr
from engine.lr_range import RangeTest, Reading


def flowers(x: float) -> Dataset:
    """Return flowers of which every measure is ``x``."""
    samples = Samples(np.full((30, 4), x, np.float32), np.arange(30) % 3)
    return Dataset("iris", ("a", "b", "c"), samples, None, samples)


def test_a_loss_that_is_not_finite_from_the_first_batch_on_is_said_to_be_that() -> None:
    config = build_config(
        {"model": {"arch": "residual-mlp"}, "data": {"dataset": "iris"}, "train": {"batch_size": 10}}, {}
    )
    with pytest.raises(WorldError, match=r"not finite \(nan\) from the first batch on, before any rate was tried"):
        list(find_lr(config, flowers(math.nan), RangeTest()))
    assert len(list(find_lr(config, flowers(1.0), RangeTest(steps=10)))) > 3


def test_loading_is_told_before_the_first_reading(tmp_path: Path) -> None:
    told = list(load_and_find_lr(tiny(), RangeTest(steps=10), tmp_path))
    readings = [one for one in told if isinstance(one, Reading)]
    assert told[-len(readings) :] == readings
    assert [reading.lr for reading in readings] == [RangeTest(steps=10).rate(i) for i in range(len(readings))]
    assert not list(tmp_path.iterdir())


def test_missing_data_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    config = tiny(data__dataset="imagefolder", data__dir=str(tmp_path / "none"))
    with pytest.raises(UserError):
        next(load_and_find_lr(config, RangeTest(), tmp_path))


def test_what_is_asked_and_told_survives_a_pipe() -> None:
    wanted = RangeTestWanted(config=tiny(), test=RangeTest(1e-5, 1.0, 50), runs=Path("a b"))
    assert decode_range_test(encode_range_test(wanted)) == wanted
    progress = Progress(activity="decoding", done=1, total=2, unit="images")
    assert decode_told(encode_told(progress)) == progress
    for loss in (2.5, math.inf):
        line = encode_told(Tried(lr=0.1, loss=loss))
        assert json.loads(line, parse_constant=pytest.fail)["kind"] == "tried"
        assert decode_told(line) == Tried(lr=0.1, loss=loss)
    told = decode_told(encode_told(Tried(lr=0.1, loss=math.nan)))
    assert isinstance(told, Tried)
    assert math.isnan(told.loss)
    for line in (b"", b"{}\n", b'{"kind": "step"}\n'):
        with pytest.raises(ValueError):
            decode_told(line)
        with pytest.raises(ValueError):
            decode_range_test(line)
