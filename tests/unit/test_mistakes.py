"""What a network gets most confidently wrong: found as a direct computation finds it, kept, and read with care."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support import of, tiny, train

from engine.checkpoint import load_checkpoint, select
from engine.data.dataset import Samples
from engine.data.pipeline import eval_batches
from engine.data.sources import load
from engine.evaluation import Evaluation, mistakes_of
from engine.events import Evaluated
from engine.mistakes import LARGEST_SIDE, MOST, Mistake, Mistakes, read, write
from engine.models import build
from engine.run_dir import iterate


def drained(loading: Any) -> Any:
    while True:
        try:
            next(loading)
        except StopIteration as end:
            return end.value


@pytest.mark.parametrize("val_size", [0, 24])
def test_a_run_keeps_what_a_direct_computation_finds(tmp_path: Path, val_size: int) -> None:
    config = tiny(
        data__val_size=val_size, data__synthetic_size=240, optim__lr=1e-4, train__epochs=1, train__precision="float32"
    )
    events = train(config, tmp_path)
    (run,) = iterate(tmp_path)
    kept = read(run.mistakes)
    assert kept is not None
    told = of(events, Evaluated)[0]
    assert (kept.step, kept.epoch, kept.split) == (told.step, told.epoch, told.split)
    assert kept.split == ("val" if val_size else "test")

    dataset = drained(load(config.data, config.train.seed))
    samples = dataset.val or dataset.test
    tensors, _ = load_checkpoint(run.last)
    model = build(config.model, dataset.shape, len(dataset.classes)).to_empty(device="cpu").eval()
    model.load_state_dict(select(tensors, "model"))
    with torch.no_grad():
        batches = eval_batches(samples, dataset, config, torch.device("cpu"))
        chances = torch.cat([model(x).softmax(dim=1) for x, _ in batches]).numpy()
    predicted = chances.argmax(axis=1)
    wrong = np.flatnonzero(predicted != samples.y)
    wrong = wrong[np.argsort(-chances[wrong, predicted[wrong]], kind="stable")][:MOST]
    assert len(wrong) == min(MOST, round((1 - told.accuracy) * told.images)) > 0
    assert [m.index for m in kept.mistakes] == wrong.tolist()
    assert [m.predicted for m in kept.mistakes] == predicted[wrong].tolist()
    assert [m.label for m in kept.mistakes] == samples.y[wrong].tolist()
    assert [m.confidence for m in kept.mistakes] == pytest.approx(chances[wrong, predicted[wrong]].tolist(), rel=1e-4)
    assert kept.shape == (3, 16, 16)
    assert [m.pixels for m in kept.mistakes] == [picture.tobytes() for picture in samples.take(wrong)]


def evaluated(samples: Samples, logits_NK: torch.Tensor) -> Mistakes:
    evaluation = Evaluation(logits_NK.shape[1], torch.device("cpu"))
    for start in range(0, len(samples), 7):
        evaluation.add(logits_NK[start : start + 7], torch.from_numpy(samples.y[start : start + 7]))
    event = Evaluated(
        step=3, epoch=1, split="test", loss=1, accuracy=0, top5=None, per_class=(), confusion=(), images=1, seconds=1
    )
    return mistakes_of(evaluation, samples, event)


def test_large_pictures_are_reduced_and_keep_their_proportions(tmp_path: Path) -> None:
    x = np.zeros((50, 3, 256, 128), dtype=np.uint8)
    x[:, 1, :128] = 200
    samples = Samples(x, np.zeros(50, dtype=np.int64))
    kept = evaluated(samples, torch.tensor([[0.0, 5.0]]).expand(50, 2))
    assert kept.shape == (3, LARGEST_SIDE, LARGEST_SIDE // 2)
    assert [m.index for m in kept.mistakes] == list(range(MOST)), "of equals, the first"
    picture = np.frombuffer(kept.mistakes[0].pixels, dtype=np.uint8).reshape(kept.shape)
    assert (picture == x[0, :, ::4, ::4]).all()
    write(tmp_path / "mistakes.json", kept)
    assert read(tmp_path / "mistakes.json") == kept


def test_rows_of_features_keep_their_values_and_a_faultless_network_keeps_nothing(tmp_path: Path) -> None:
    samples = Samples(np.array([[1.5, -2.0], [0.0, 3.25]], dtype=np.float32), np.array([0, 1]))
    kept = evaluated(samples, torch.tensor([[3.0, 0.0], [2.0, 0.0]]))
    assert [(m.index, m.predicted, m.values, m.pixels) for m in kept.mistakes] == [(1, 0, (0.0, 3.25), b"")]
    right = evaluated(samples, torch.tensor([[3.0, 0.0], [0.0, 2.0]]))
    assert right.mistakes == ()
    write(tmp_path / "mistakes.json", right)
    assert read(tmp_path / "mistakes.json") == right


def test_a_network_that_gives_no_numbers_has_no_most_confident_mistakes() -> None:
    samples = Samples(np.zeros((3, 1, 8, 8), dtype=np.uint8), np.zeros(3, dtype=np.int64))
    kept = evaluated(samples, torch.tensor([[0.0, 1.0], [torch.nan, torch.nan], [torch.inf, torch.inf]]))
    assert [m.index for m in kept.mistakes] == [0]


def test_what_is_damaged_or_too_large_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "mistakes.json"
    good = Mistakes(
        step=1, epoch=1, split="test", shape=(1, 1, 2), mistakes=(Mistake(0, 1, 2, confidence=0.5, pixels=b"ab"),)
    )
    write(file, good)
    assert read(file) == good
    whole = json.loads(file.read_text())
    assert read(tmp_path / "none.json") is None
    assert read(tmp_path) is None

    def damaged(**changes: Any) -> bytes:
        return json.dumps(whole | {"mistakes": [whole["mistakes"][0] | changes]}).encode()

    for content in (
        b"",
        file.read_bytes()[:-3],
        damaged(pixels="YWJj"),
        damaged(pixels="?"),
        damaged(confidence=2),
        damaged(label=-1),
        json.dumps(whole | {"shape": []}).encode(),
        json.dumps(whole | {"mistakes": whole["mistakes"] * (MOST + 1)}).encode(),
        file.read_bytes() + b" " * (4 << 20),
    ):
        file.write_bytes(content)
        assert read(file) is None


def test_a_full_disk_costs_the_thumbnails_not_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("engine.evaluation.write", full)
    events = train(tiny(), tmp_path)
    assert len(of(events, Evaluated)) == 2
    (run,) = iterate(tmp_path)
    assert not run.mistakes.exists()
