"""Folders of pictures: how they are read, cached and refused."""

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_support import finish, image_folder, loaded, picture
from PIL import Image

from engine.config import DataConfig
from engine.data.dataset import Dataset
from engine.data.decode import Damage, decode
from engine.data.sources import check, load
from engine.errors import UserError, WorldError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RESNET_TUI_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return image_folder(tmp_path / "pictures")


def read(folder: Path, image_size: int = 8, **more: Any) -> Dataset:
    return loaded(dataset="imagefolder", dir=folder, image_size=image_size, **more)


def activities(folder: Path) -> set[str]:
    config = DataConfig(dataset="imagefolder", dir=folder, image_size=8)
    return {event.activity for event in finish(load(config, 1))[1]}


def test_pictures_of_the_right_size_are_kept_to_the_level(folder: Path) -> None:
    data = read(folder)
    assert data.classes == ("ant", "bee")
    assert data.train.y.tolist() == [0, 0, 0, 1, 1, 1]
    assert isinstance(data.train.x, np.memmap)
    assert not data.train.x.flags.writeable
    expected = [(200 * label, 10 * index, 0) for label in (0, 1) for index in range(3)]
    assert [tuple(image[:, 0, 0]) for image in data.train.x] == expected
    assert all((image == image[:, :1, :1]).all() for image in data.train.x)
    assert [tuple(image[:, 0, 0]) for image in data.test.x] == [(0, 99, 0), (200, 99, 0)]


def test_val_folder_stands_in_for_a_missing_test_folder(tmp_path: Path) -> None:
    assert len(read(image_folder(tmp_path / "pictures", held_out="val")).test) == 2


def test_val_size_splits_a_memory_map_without_copying_it(folder: Path) -> None:
    data = read(folder, val_size=2)
    assert data.val is not None
    assert isinstance(data.val.x, np.memmap)
    assert sorted(data.val.y) == [0, 1]


@pytest.mark.parametrize("suffix", ["jpg", "jpeg", "PNG", "bmp", "webp", "gif", "ppm", "tif"])
def test_formats(folder: Path, suffix: str) -> None:
    picture(folder / "train" / "ant" / f"9.{suffix}", (10, 120, 230))
    image = read(folder).train.x[3].astype(int)  # after 0.png, 1.png, 2.png
    assert np.abs(image.mean(axis=(1, 2)) - (10, 120, 230)).max() < 12


def test_other_sizes_are_resized_with_antialiasing(folder: Path) -> None:
    stripes = np.zeros((64, 32, 3), dtype=np.uint8)
    stripes[::2] = 255  # without antialiasing it would come out black or white
    Image.fromarray(stripes).save(folder / "train" / "ant" / "9.png")
    image = read(folder).train.x[3]
    assert image.shape == (3, 8, 8)
    assert np.abs(image[:, 2:-2].astype(int) - 127).max() < 5


def test_grey_sixteen_bit_and_transparent_pictures_become_rgb(folder: Path) -> None:
    ant = folder / "train" / "ant"
    Image.new("L", (8, 8), 77).save(ant / "7.png")
    Image.fromarray(np.full((8, 8), 200 * 256, dtype=np.uint16)).save(ant / "8.png")
    Image.new("RGBA", (8, 8), (9, 99, 199, 128)).save(ant / "9.png")
    images = read(folder).train.x[3:6]
    assert [tuple(image[:, 0, 0]) for image in images] == [(77, 77, 77), (200, 200, 200), (9, 99, 199)]


def test_hidden_and_other_files_are_passed_over_and_links_followed(folder: Path, tmp_path: Path) -> None:
    ant = folder / "train" / "ant"
    (ant / ".hidden.png").write_bytes(b"no image")
    (ant / "notes.txt").write_text("no image")
    (folder / "train" / ".cache").mkdir()
    (ant / "9.png").symlink_to(picture(tmp_path / "elsewhere.png", (1, 2, 3)))
    data = read(folder)
    assert data.train.y.tolist() == [0] * 4 + [1] * 3
    assert tuple(data.train.x[3][:, 0, 0]) == (1, 2, 3)


def test_decodes_once(folder: Path) -> None:
    assert {"decoding train images", "decoding test images"} <= activities(folder)
    assert activities(folder) == set()


def test_the_same_pictures_elsewhere_are_not_decoded_again(folder: Path, tmp_path: Path) -> None:
    read(folder)
    shutil.copytree(folder, tmp_path / "copy")
    told = activities(tmp_path / "copy")
    assert "reading images" in told
    assert "decoding train images" not in told


def test_a_changed_picture_is_seen(folder: Path) -> None:
    read(folder)
    picture(folder / "train" / "ant" / "0.png", (1, 2, 3))
    assert tuple(read(folder).train.x[0][:, 0, 0]) == (1, 2, 3)


def test_another_image_size_is_another_array(folder: Path) -> None:
    assert read(folder).shape == (3, 8, 8)
    assert read(folder, image_size=16).shape == (3, 16, 16)


@pytest.mark.parametrize("damage", ["cut", "longer", "other shape", "other type", "pickle", "gone"])
def test_a_damaged_cache_is_built_anew(folder: Path, cache: Path, damage: str) -> None:
    expected = np.array(read(folder).train.x)
    (array,) = cache.glob("imagefolder/*/train.npy")
    if damage == "cut":
        array.write_bytes(array.read_bytes()[:-1])
    elif damage == "longer":
        array.write_bytes(array.read_bytes() + b"\0")
    elif damage == "other shape":
        np.save(array, expected[:2])
    elif damage == "other type":
        np.save(array, expected.astype(np.int8))
    elif damage == "pickle":
        np.save(array, np.array([{}]), allow_pickle=True)
    else:
        array.unlink()
    np.testing.assert_array_equal(read(folder).train.x, expected)


def test_a_remembered_key_cannot_lead_out_of_the_cache(folder: Path, cache: Path) -> None:
    read(folder)
    (remembered,) = (cache / "imagefolder" / "signatures").iterdir()
    remembered.write_text("../../" + "a" * 26)
    assert "reading images" in activities(folder)


def test_corrupt_images_are_named(folder: Path, cache: Path) -> None:
    bee = folder / "train" / "bee"
    whole = (bee / "0.png").read_bytes()
    (bee / "1.png").write_bytes(whole[: len(whole) // 2])
    (bee / "2.png").write_bytes(b"no image at all")
    with pytest.raises(WorldError) as caught:
        read(folder)
    lines = str(caught.value).splitlines()
    assert lines[0] == "2 images cannot be used; repair or remove:"
    assert lines[1].startswith(f"{bee / '1.png'}: ")
    assert lines[2] == f"{bee / '2.png'}: not an image"
    assert caught.value.exit_status == 1
    assert [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"] == []


def test_only_the_first_corrupt_images_are_named(folder: Path) -> None:
    for index in range(8):
        (folder / "train" / "ant" / f"bad{index}.png").write_bytes(b"")
    with pytest.raises(WorldError) as caught:
        read(folder)
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("8 images")
    assert (len(lines), lines[-1]) == (7, "… and 3 more")


def test_an_image_of_too_many_pixels_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 60)
    with pytest.raises(WorldError, match="decompression bomb"):
        read(folder)


def test_names_are_cleaned_before_they_are_shown(tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "pictures")
    (folder / "train" / "bee").rename(folder / "train" / "b\x1b[31mee")
    (folder / "test" / "bee").rename(folder / "test" / "b\x1b[31mee")
    assert read(folder).classes == ("ant", "b\ufffd[31mee")


def remove(path: Path) -> Path:
    shutil.rmtree(path)
    return path


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: remove(f), "cannot be read: No such file"),
        (lambda f: [remove(path) for path in f.iterdir()], "there is no train/"),
        (lambda f: remove(f / "train"), "there is no train/"),
        (lambda f: remove(f / "test"), "neither test/ nor val/"),
        (lambda f: remove(f / "train" / "bee"), "1 class folders; at least 2"),
        (lambda f: [remove(path) for path in (f / "test").iterdir()], "no class folders"),
        (lambda f: (f / "train" / "cow").mkdir(), "train/cow: a class folder without images"),
        (lambda f: (f / "test" / "bee" / "0.png").unlink(), "test/bee: a class folder without images"),
        (lambda f: picture(f / "test" / "cow" / "0.png", (0, 0, 0)), "1 classes that train/ lacks: 'cow'"),
    ],
)
def test_check_refuses_a_wrong_layout(folder: Path, cache: Path, spoil: object, message: str) -> None:
    assert callable(spoil)
    spoil(folder)
    with pytest.raises(UserError, match=message) as caught:
        check(DataConfig(dataset="imagefolder", dir=folder))
    assert caught.value.exit_status == 2
    assert not cache.exists()


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be read: Not a directory"):
        check(DataConfig(dataset="imagefolder", dir=tmp_path / "file"))


def test_a_link_to_itself_is_refused(folder: Path) -> None:
    (folder / "train" / "cow").symlink_to(folder / "train" / "cow")
    with pytest.raises(UserError, match="train cannot be read: Too many levels"):
        check(DataConfig(dataset="imagefolder", dir=folder))


def test_a_class_may_be_missing_from_the_test_split(folder: Path) -> None:
    remove(folder / "test" / "bee")
    data = read(folder)
    assert (data.classes, data.test.y.tolist()) == (("ant", "bee"), [0])


def test_a_write_that_fails_leaves_nothing(folder: Path, cache: Path) -> None:
    cache.mkdir()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # the training array needs 1,280 bytes
    try:
        with pytest.raises(WorldError, match=r"cannot be written: File too large.*RESNET_TUI_CACHE"):
            read(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(cache.glob("imagefolder/*.part")) == []
    assert list(cache.glob("imagefolder/*/train.npy")) == []
    assert len(read(folder).train) == 6


def test_too_little_space_is_told_before_anything_is_decoded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1000, 1000, 0))
    with pytest.raises(WorldError, match=r"need .* GB and 0\.0 GB are free"):
        read(folder)


def test_what_a_killed_process_left_is_cleared_away(folder: Path, cache: Path) -> None:
    read(folder)
    (array,) = cache.glob("imagefolder/*/train.npy")
    array.parent.rename(array.parent.with_name(f"{array.parent.name}.part"))
    assert len(read(folder).train) == 6
    assert list(cache.glob("imagefolder/*.part")) == []


def test_a_loader_that_is_closed_halfway_leaves_nothing(folder: Path, cache: Path) -> None:
    work = load(DataConfig(dataset="imagefolder", dir=folder, image_size=8), 1)
    while not next(work).activity.startswith("decoding"):
        pass
    work.close()
    assert list(cache.glob("imagefolder/*.part")) == []
    assert len(read(folder).train) == 6


def test_two_processes_at_once_get_the_same_images(folder: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from engine.config import DataConfig\n"
        "from engine.data.sources import load\n"
        "work = load(DataConfig(dataset='imagefolder', dir=Path(sys.argv[1]), image_size=8), 1)\n"
        "try:\n    while True: next(work)\n"
        "except StopIteration as end: print(end.value.train.x.tobytes().hex())"
    )
    command = [sys.executable, "-c", program, str(folder)]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ) for _ in range(3)
    ]
    results = [process.communicate(timeout=60) for process in processes]
    expected = read(folder).train.x.tobytes().hex()
    assert [(out.decode().strip(), err) for out, err in results] == [(expected, b"")] * 3


def test_large_files_are_decoded_by_threads_in_order(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    folder = image_folder(tmp_path / "pictures")
    noisy = [rng.integers(0, 256, (64, 64, 3), dtype=np.uint8) for _ in range(12)]
    for index, image in enumerate(noisy):
        path = folder / "train" / "ant" / f"noise{index:02}.png"
        Image.fromarray(image).save(path)
        assert path.stat().st_size > 8 << 10
    data = read(folder, image_size=64)
    np.testing.assert_array_equal(data.train.x[3:15], np.stack(noisy).transpose(0, 3, 1, 2))


def test_a_picture_in_a_format_that_runs_programs_is_refused(tmp_path: Path) -> None:
    """An EPS file would be handed to Ghostscript, whatever it calls itself."""
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"
    file = tmp_path / "evil.png"
    file.write_bytes(eps)
    damage = decode(file, 8)
    assert isinstance(damage, Damage)
    assert damage.reason == "not an image"
