"""Batches: which samples they hold, how they are augmented, and that they can be reached again exactly."""

import contextlib
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from data_support import image_folder, loaded, run_config

from engine.data import pipeline
from engine.data.dataset import Dataset, Samples
from engine.data.pipeline import Batch, TrainBatches, eval_batches, train_batches
from engine.errors import UserError

CPU = torch.device("cpu")
ALL_ON: dict[str, Any] = {"crop_padding": 2, "flip": True, "cutout": 3, "mixup": 0.5, "normalise": "cifar10"}
RESIDENCES = pytest.mark.parametrize("residence", ["memory", "stream"])


def numbered(count: int, size: int = 8) -> Dataset:
    """Images that can be told apart: image i holds i and its pixel's column and row."""
    x = np.empty((count, 3, size, size), dtype=np.uint8)
    x[:, 0] = np.arange(1, count + 1)[:, None, None]
    x[:, 1] = np.arange(1, size + 1)[None, None, :]
    x[:, 2] = np.arange(1, size + 1)[None, :, None]
    samples = Samples(x, np.arange(count, dtype=np.int64) % 3)
    return Dataset("numbered", ("a", "b", "c"), samples, None, samples)


@contextlib.contextmanager
def training(dataset: Dataset, batch_size: int = 16, **data: Any) -> Iterator[TrainBatches]:
    batches = train_batches(dataset, run_config(batch_size, **data), CPU)
    try:
        yield batches
    finally:
        batches.close()


def equal(one: list[Batch], other: list[Batch]) -> bool:
    return len(one) == len(other) and all(
        torch.equal(a.x, b.x)
        and torch.equal(a.y_B, b.y_B)
        and a.mix == b.mix
        and (a.y_mixed_B is b.y_mixed_B or torch.equal(a.y_mixed_B, b.y_mixed_B))  # type: ignore[arg-type]  # both
        for a, b in zip(one, other, strict=True)
    )


@RESIDENCES
def test_an_epoch_holds_every_sample_once_in_a_new_order(residence: str) -> None:
    with training(numbered(40), residence=residence) as batches:
        assert batches.steps_per_epoch == 3
        orders = []
        for epoch in (1, 2):
            drawn = list(batches.epoch(epoch))
            assert [len(batch.x) for batch in drawn] == [16, 16, 8]
            first = drawn[0]
            assert (first.x.dtype, first.y_B.dtype, first.y_mixed_B, first.mix) == (
                torch.float32,
                torch.int64,
                None,
                1.0,
            )
            assert first.x.shape == (16, 3, 8, 8)
            assert first.x.is_contiguous(memory_format=torch.channels_last)
            ids = (torch.cat([batch.x[:, 0, 0, 0] for batch in drawn]) * 255).round().int() - 1
            assert sorted(ids.tolist()) == list(range(40))
            assert torch.equal(torch.cat([batch.y_B for batch in drawn]), ids.long() % 3)
            orders.append(ids.tolist())
    assert orders[0] != orders[1] != sorted(orders[1])


def test_memory_and_stream_go_through_the_samples_in_the_same_order() -> None:
    data = numbered(40)
    with training(data, residence="memory") as memory, training(data, residence="stream", workers=0) as stream:
        assert equal(list(memory.epoch(3)), list(stream.epoch(3)))


@RESIDENCES
def test_a_last_batch_of_one_is_dropped(residence: str) -> None:
    with training(numbered(33), residence=residence, workers=0) as batches:
        assert batches.steps_per_epoch == 2
        assert [len(batch.x) for batch in batches.epoch(1)] == [16, 16]


@RESIDENCES
def test_an_epoch_can_be_entered_anywhere(residence: str) -> None:
    with training(numbered(70), residence=residence, workers=0, **ALL_ON) as batches:
        whole = list(batches.epoch(2))
        list(batches.epoch(5))
        assert equal(list(batches.epoch(2, first_step=3)), whole[3:])
        assert list(batches.epoch(2, first_step=5)) == []
        assert not equal(list(batches.epoch(3)), whole)


@RESIDENCES
def test_the_seed_decides_everything(residence: str) -> None:
    def drawn(seed: int) -> list[Batch]:
        with training(numbered(40), seed=seed, residence=residence, workers=0, **ALL_ON) as batches:
            return list(batches.epoch(1))

    assert equal(drawn(1), drawn(1))
    assert not equal(drawn(1), drawn(2))


@pytest.mark.parametrize("workers", [1, 2])
def test_streamed_batches_do_not_depend_on_the_number_of_workers(workers: int) -> None:
    data = numbered(70)
    with (
        training(data, residence="stream", workers=0, **ALL_ON) as expected,
        training(data, residence="stream", workers=workers, **ALL_ON) as batches,
    ):
        assert equal(list(batches.epoch(1)), list(expected.epoch(1)))
        next(batches.epoch(2))  # left halfway: the workers must not mix it up with the next
        assert equal(list(batches.epoch(3, 1)), list(expected.epoch(3, 1)))


@RESIDENCES
def test_global_generators_are_left_alone(residence: str) -> None:
    torch.manual_seed(5)
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index]
    with training(numbered(40), residence=residence, workers=0, **ALL_ON) as batches:
        list(batches.epoch(1))
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_before)  # type: ignore[index]


@RESIDENCES
def test_crop_shifts_with_zeros_and_flip_mirrors(residence: str) -> None:
    """Columns count 1 to 8 from the left and rows from the top, so each image tells how it was moved."""
    size, padding = 8, 2
    seen = set()
    data = numbered(250, size)
    with training(data, 250, residence=residence, workers=0, crop_padding=padding, flip=True) as batches:
        (batch,) = batches.epoch(1)
    padded = np.pad(data.train.x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    images = (batch.x * 255).round().to(torch.uint8).numpy()
    for image in images:
        source = padded[image[0].max() - 1]
        moves = [
            (top, left, flipped)
            for top in range(2 * padding + 1)
            for left in range(2 * padding + 1)
            for flipped in (False, True)
            if np.array_equal(image, source[:, top : top + size, left : left + size][:, :, :: -1 if flipped else 1])
        ]
        assert len(moves) == 1
        seen.add(moves[0])
    assert {move[0] for move in seen} == {move[1] for move in seen} == set(range(5))
    assert len(seen) > 40  # of 50


@RESIDENCES
def test_every_image_is_moved_anew_in_every_epoch_and_step(residence: str) -> None:
    data = numbered(100)
    with training(data, 50, residence=residence, workers=0, crop_padding=2, flip=True) as batches:
        epochs = []
        for epoch in (1, 2):
            drawn = torch.cat([batch.x for batch in batches.epoch(epoch)])
            epochs.append(drawn[drawn[:, 0].amax(dim=(1, 2)).argsort()])
    kept = (epochs[0] == epochs[1]).flatten(1).all(dim=1).sum()
    assert kept < 15  # by chance 1 in 50

    alike = Samples(data.train.x[:1].repeat(100, axis=0), data.train.y)
    with training(
        Dataset("alike", data.classes, alike, None, alike), 50, residence=residence, crop_padding=2
    ) as batches:
        one, other = batches.epoch(1)
    assert (one.x == other.x).flatten(1).all(dim=1).sum() < 15


@pytest.mark.parametrize(
    ("name", "mean", "std"),
    [
        ("unit", (0, 0, 0), (1, 1, 1)),
        ("half", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ("cifar10", (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
        ("cifar100", (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
        ("imagenet", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ("pixel-mean", (0.25, 0.25, 0.25), (1, 1, 1)),
    ],
)
def test_normalisation(name: str, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    black, white = -torch.tensor(mean) / torch.tensor(std), (1 - torch.tensor(mean)) / torch.tensor(std)
    x = np.zeros((4, 3, 8, 8), dtype=np.uint8)
    x[3] = 255
    samples = Samples(x, np.zeros(4, dtype=np.int64))
    data = Dataset("plain", ("a", "b"), samples, None, samples)
    ((tested, _),) = eval_batches(samples, data, run_config(normalise=name), CPU)
    torch.testing.assert_close(tested[0, :, 0, 0], black)
    torch.testing.assert_close(tested[3, :, 7, 7], white)
    with training(data, 4, normalise=name) as batches:
        (batch,) = batches.epoch(1)
    torch.testing.assert_close(batch.x.amax(dim=0)[:, 3, 3], white)


@RESIDENCES
def test_cutout_blanks_one_square_clipped_at_the_border(residence: str) -> None:
    with training(numbered(250, 16), 250, residence=residence, workers=0, cutout=5) as batches:
        (batch,) = batches.epoch(1)
    blank_BHW = (batch.x == 0).all(dim=1)
    rows, columns = blank_BHW.any(dim=2).sum(dim=1), blank_BHW.any(dim=1).sum(dim=1)
    torch.testing.assert_close(blank_BHW.sum(dim=(1, 2)), rows * columns)
    assert set(rows.tolist()) == set(columns.tolist()) == {3, 4, 5}
    assert ((batch.x == 0).any(dim=1) == blank_BHW).all()


@RESIDENCES
def test_mixup_mixes_pairs_of_the_batch(residence: str) -> None:
    data = numbered(64)
    with (
        training(data, 64, residence=residence, workers=0, mixup=0.5) as mixed,
        training(data, 64, residence=residence, workers=0) as plain,
    ):
        shares = []
        for epoch in range(1, 6):
            (batch,), (pure,) = mixed.epoch(epoch), plain.epoch(epoch)
            assert batch.y_mixed_B is not None
            assert torch.equal(batch.y_B, pure.y_B)
            ids = pure.x[:, 0, 0, 0]
            partner = (batch.x[:, 0, 0, 0] - batch.mix * ids) / (1 - batch.mix)
            index = (partner[:, None] - ids[None, :]).abs().argmin(dim=1)
            torch.testing.assert_close(batch.x, batch.mix * pure.x + (1 - batch.mix) * pure.x[index])
            assert torch.equal(batch.y_mixed_B, pure.y_B[index])
            assert sorted(index.tolist()) == list(range(64))
            shares.append(batch.mix)
    assert len(set(shares)) == 5
    assert all(0 <= share <= 1 for share in shares)


@RESIDENCES
def test_features_pass_unchanged(residence: str) -> None:
    data = loaded(dataset="iris")
    with training(data, 120, residence=residence, workers=0, **ALL_ON) as batches:
        (batch,) = batches.epoch(1)
    assert (batch.x.shape, batch.x.dtype, batch.y_mixed_B) == ((120, 4), torch.float32, None)
    assert sorted(map(tuple, batch.x.tolist())) == sorted(map(tuple, data.train.x.tolist()))
    tested = torch.cat([x for x, _ in eval_batches(data.test, data, run_config(), CPU)])
    np.testing.assert_array_equal(tested.numpy(), data.test.x)


@RESIDENCES
def test_evaluation_goes_through_a_split_in_order_again_and_again(residence: str) -> None:
    data = numbered(120)
    batches = eval_batches(data.test, data, run_config(residence=residence, flip=True, crop_padding=2), CPU)
    assert len(batches) == 3
    for _ in range(2):
        drawn = list(batches)
        assert [len(x) for x, _ in drawn] == [50, 50, 20]
        assert all(x.is_contiguous(memory_format=torch.channels_last) for x, _ in drawn)
        np.testing.assert_array_equal((torch.cat([x for x, _ in drawn]) * 255).round(), data.test.x)
        np.testing.assert_array_equal(torch.cat([y_B for _, y_B in drawn]), data.test.y)


@RESIDENCES
def test_a_memory_map_and_its_validation_split(
    residence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESNET_TUI_CACHE", str(tmp_path / "cache"))
    folder = image_folder(tmp_path / "pictures", images=6)
    settings: dict[str, Any] = {"dataset": "imagefolder", "dir": folder, "image_size": 8, "val_size": 4}
    data = loaded(**settings)
    assert data.val is not None
    with training(data, 8, residence=residence) as batches:
        (batch,) = batches.epoch(1)
    trained = {tuple(colour) for colour in (batch.x[:, :, 0, 0] * 255).round().tolist()}
    ((x, y_B),) = eval_batches(data.val, data, run_config(residence=residence), CPU)
    held_back = {tuple(colour) for colour in (x[:, :, 0, 0] * 255).round().tolist()}
    assert (len(trained), len(held_back), sorted(y_B.tolist())) == (8, 4, [0, 0, 1, 1])
    assert trained | held_back == {(200.0 * label, 10.0 * index, 0.0) for label in (0, 1) for index in range(6)}


def test_auto_residence_follows_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    import psutil

    data = numbered(40)
    size = data.train.nbytes
    assert size == 40 * 3 * 8 * 8

    class Memory:
        available = 0
        total = 0

    monkeypatch.setattr(psutil, "virtual_memory", Memory)
    kinds = []
    for available in (2 * size + 2, 2 * size):
        monkeypatch.setattr(Memory, "available", available)
        with training(data, workers=0) as batches:
            kinds.append(type(batches).__name__)
    assert kinds == ["MemoryTrainBatches", "StreamTrainBatches"]


def test_a_batch_larger_than_the_training_set_is_refused() -> None:
    with pytest.raises(UserError, match=r"train.batch_size = 41: larger than the training set.*at most 40"):
        train_batches(numbered(40), run_config(41), CPU)
    with training(numbered(40), 40) as batches:
        assert batches.steps_per_epoch == 1


def test_a_memory_map_is_sent_to_a_worker_as_its_place(tmp_path: Path) -> None:
    """Where processes are not forked, a set too large for memory must not be copied into each of them."""
    np.save(tmp_path / "x.npy", np.arange(3 * 64 * 64 * 100, dtype=np.uint8).reshape(100, 3, 64, 64))
    mapped = Samples(np.load(tmp_path / "x.npy", mmap_mode="r"), np.zeros(100, np.int64)).select(np.arange(5, 50))
    sent = pickle.dumps(mapped)
    assert len(sent) < 5000
    arrived = pickle.loads(sent)
    assert np.array_equal(arrived.take(np.arange(45)), mapped.take(np.arange(45)))
    held = Samples(np.ones((4, 3, 2, 2), np.uint8), np.zeros(4, np.int64))
    assert np.array_equal(pickle.loads(pickle.dumps(held)).x, held.x)


@pytest.mark.parametrize("residence", ["auto", "memory"])
def test_a_set_that_does_not_fit_is_streamed_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch, residence: str
) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    config = run_config(4, residence=residence, workers=0)
    monkeypatch.setattr(pipeline, "memory", lambda _: (1 << 40, 1 << 40))
    assert train_batches(numbered(40), config, CPU).note == ""
    if residence == "auto":
        monkeypatch.setattr(pipeline, "memory", lambda _: (100, 1 << 40))
    else:
        monkeypatch.setattr(pipeline, "resident", full)
    batches = train_batches(numbered(40), config, CPU)
    assert type(batches).__name__ == "StreamTrainBatches"
    assert "does not fit" in batches.note
    assert len(list(batches.epoch(1))) == 10
    evaluated = eval_batches(numbered(40).test, numbered(40), config, CPU)
    assert sum(len(y) for _, y in evaluated) == len(numbered(40).test)
