"""Embedded and made datasets, and the validation split."""

from pathlib import Path

import numpy as np
import pytest
import torch
from data_support import loaded
from sklearn.datasets import load_digits, load_iris
from sklearn.linear_model import LogisticRegression

from engine.config import DataConfig
from engine.data.dataset import Dataset, Samples
from engine.data.sources import check
from engine.data.split import val_counts
from engine.errors import UserError


def everything(samples: Samples) -> np.ndarray:
    return samples.take(np.arange(len(samples)))


def test_digits_are_the_scans_enlarged_four_times() -> None:
    data = loaded(dataset="digits")
    assert (len(data.train), len(data.test), data.val) == (1437, 360, None)
    assert data.shape == (3, 32, 32)
    assert data.train.x.dtype == np.uint8
    assert data.classes == tuple("0123456789")
    x = np.concatenate([data.train.x, data.test.x])
    np.testing.assert_array_equal(x[:, 0], x[:, 1])
    np.testing.assert_array_equal(x[:, 0], x[:, 2])
    scans = torch.from_numpy(load_digits().images)[:, None]
    enlarged = torch.nn.functional.interpolate(scans, scale_factor=4, mode="bilinear")[:, 0]
    expected = (enlarged * 255 / 16).round().to(torch.uint8).numpy()
    assert sorted(map(bytes, x[:, 0])) == sorted(map(bytes, expected))
    assert sorted(np.bincount(data.test.y)) == [35, 35, *[36] * 6, 37, 37]


def test_digits_test_set_does_not_depend_on_the_seed() -> None:
    one, two = loaded(1, dataset="digits", val_size=100), loaded(2, dataset="digits", val_size=100)
    np.testing.assert_array_equal(one.test.x, two.test.x)
    np.testing.assert_array_equal(one.test.y, two.test.y)


def test_iris_is_standardised_over_all_rows() -> None:
    data = loaded(dataset="iris")
    x = np.concatenate([data.train.x, data.test.x])
    assert (x.shape, len(data.train)) == ((150, 4), 120)
    assert x.dtype == np.float32
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(x.std(axis=0), 1, atol=1e-5)
    # The document's split: train_test_split(test_size=0.2, random_state=42) puts row 73 first into the test set.
    raw = load_iris()
    expected = (raw.data[73] - raw.data.mean(axis=0)) / raw.data.std(axis=0)
    np.testing.assert_allclose(data.test.x[0], expected, atol=1e-5)
    assert data.test.y[0] == raw.target[73]


def test_synthetic_is_seeded_balanced_and_learnable() -> None:
    settings = {"dataset": "synthetic", "synthetic_size": 200, "synthetic_classes": 4, "image_size": 16}
    data, again, other = loaded(1, **settings), loaded(1, **settings), loaded(2, **settings)
    assert (data.shape, len(data.train), len(data.test)) == ((3, 16, 16), 200, 50)
    np.testing.assert_array_equal(data.train.x, again.train.x)
    np.testing.assert_array_equal(data.test.y, again.test.y)
    assert not np.array_equal(data.train.x, other.train.x)
    assert np.bincount(data.train.y).tolist() == [50] * 4
    model = LogisticRegression(max_iter=200).fit(data.train.x.reshape(200, -1) / 255, data.train.y)
    assert model.score(data.test.x.reshape(50, -1) / 255, data.test.y) > 0.9


def test_val_split_is_exact_stratified_seeded_and_takes_only_training_images() -> None:
    whole = loaded(dataset="digits")
    data, again, other = (loaded(seed, dataset="digits", val_size=143) for seed in (1, 1, 2))
    assert data.val is not None
    assert again.val is not None
    assert other.val is not None
    assert (len(data.train), len(data.val)) == (1437 - 143, 143)
    share = np.bincount(data.val.y) / np.bincount(whole.train.y)
    assert np.abs(share - 143 / 1437).max() < 0.01
    assert data.val.rows is not None
    assert again.val.rows is not None
    assert other.val.rows is not None
    assert data.train.rows is not None
    assert data.val.rows.tolist() == again.val.rows.tolist() != other.val.rows.tolist()
    assert sorted([*data.val.rows, *data.train.rows]) == list(range(1437))
    np.testing.assert_array_equal(everything(data.val), whole.train.x[data.val.rows])
    np.testing.assert_array_equal(data.val.y, whole.train.y[data.val.rows])
    np.testing.assert_array_equal(data.test.x, whole.test.x)


@pytest.mark.parametrize(
    ("class_counts", "val_size", "expected"),
    [
        ([10, 10, 10], 3, [1, 1, 1]),
        ([10, 10, 10], 4, [2, 1, 1]),
        ([6, 3, 1], 5, [3, 2, 0]),  # 3, 1.5, 0.5 by share; a class's only image stays in train
        ([5, 2, 1], 5, [4, 1, 0]),  # all that can go
        ([5, 2, 1], 0, [0, 0, 0]),
    ],
)
def test_val_counts_by_largest_remainder(class_counts: list[int], val_size: int, expected: list[int]) -> None:
    assert val_counts(np.array(class_counts), val_size).tolist() == expected


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dataset": "digits", "val_size": 1428}, r"data.val_size = 1428: .*allowed: 0 to 1427"),
        ({"dataset": "iris", "val_size": 118}, r"data.val_size = 118: .*allowed: 0 to 117"),
        ({"synthetic_size": 12, "synthetic_classes": 13}, r"data.synthetic_size = 12: .*at least .* = 13"),
        ({"synthetic_size": 10**7, "image_size": 1024}, r"data.synthetic_size = 10000000: .*memory.*at most \d+"),
        ({"dataset": "cifar10", "dir": Path("/no/such")}, r"data.dir = /no/such: there is no such folder"),
        ({"dataset": "imagefolder", "dir": Path("/no/such")}, r"data.dir: the folder /no/such cannot be read"),
    ],
)
def test_check_refuses(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        check(DataConfig.model_validate({"dataset": "synthetic", **settings}))
    assert caught.value.exit_status == 2


def test_largest_val_size_leaves_one_image_a_class() -> None:
    config = DataConfig(dataset="digits", val_size=1427)
    check(config)
    data = loaded(dataset="digits", val_size=1427)
    assert np.bincount(data.train.y).tolist() == [1] * 10


def test_pixel_mean_is_of_the_training_split_alone() -> None:
    data = loaded(dataset="digits", val_size=500)
    expected = everything(data.train).astype(np.float64).mean(axis=0) / 255
    np.testing.assert_allclose(data.pixel_mean, expected, atol=1e-6)
    assert not np.allclose(data.pixel_mean, loaded(dataset="digits").pixel_mean, atol=1e-6)


def test_chunks_give_every_sample_once_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.data.dataset.CHUNK_BYTES", 40)
    samples = Samples(np.arange(90, dtype=np.uint8).reshape(30, 3, 1, 1), np.zeros(30, dtype=np.int64))
    chunks = list(samples.select(np.arange(29, -1, -1)).chunks())
    assert len(chunks) > 1
    np.testing.assert_array_equal(np.concatenate(chunks), samples.x[::-1])


def test_dataset_tells_images_from_features() -> None:
    features: Dataset = loaded(dataset="iris")
    assert (features.is_images, features.shape) == (False, (4,))
    assert loaded(dataset="digits").is_images
