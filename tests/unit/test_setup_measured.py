"""How long a run would take is told from what was measured, and from nothing else."""

import socket
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from made_run import MadeRun

from engine import words
from engine.config import RunConfig
from engine.config_file import build_config, to_toml
from engine.devices import describe
from engine.events import RunStarted, encode
from engine.run_dir import RunDir
from resnet_tui.setup.measured import Measured

CONFIG = build_config({}, {})
DEEPER = build_config({"model": {"depth": 32}}, {})
HERE, DEVICE = socket.gethostname(), "cpu (1 thread)"


def record(
    runs: Path, name: str, config: RunConfig, host: str, *, stretched: float = 1.0, device: str = DEVICE
) -> RunDir:
    """Make a run that has finished an epoch, ``stretched`` times as slow as usual."""
    run = RunDir(runs / name)
    run.checkpoints.mkdir(parents=True)
    run.config_file.write_text(to_toml(config))
    made = MadeRun(2)
    start, *rest = [*made.begin(), *made.epoch(1), *made.end_epoch(1, 0.5)]
    assert isinstance(start, RunStarted)
    later = [replace(event, time=start.time + (event.time - start.time) * stretched) for event in rest]
    run.events.write_bytes(b"".join(map(encode, [replace(start, host=host, device=device), *later])))
    return run


def test_the_newest_run_that_was_alike_is_the_measure(tmp_path: Path) -> None:
    record(tmp_path, "1-alike", CONFIG, HERE, stretched=5)
    alike = record(tmp_path, "2-alike", CONFIG, HERE)
    record(tmp_path, "3-deeper", DEEPER, HERE)
    record(tmp_path, "4-elsewhere", CONFIG, f"not-{HERE}")
    (tmp_path / "5-damaged").mkdir()
    (tmp_path / "5-damaged" / "config.toml").write_text("[model")
    measured = Measured(tmp_path)
    pace = measured.pace(CONFIG, DEVICE)
    assert pace is not None
    assert pace.run == "2-alike"
    assert pace.words(10, terse=True) == f"about {words.duration(pace.seconds * 10)}"
    assert pace.words(10).endswith(f": {words.duration(pace.seconds)} an epoch in 2-alike")
    alike.events.write_bytes(b"")
    slower = measured.pace(CONFIG, DEVICE)
    assert slower is not None
    assert slower.seconds == pytest.approx(5 * pace.seconds)


def test_nothing_is_told_where_nothing_is_known(tmp_path: Path) -> None:
    assert Measured(tmp_path / "none").pace(CONFIG, DEVICE) is None
    record(tmp_path, "1-alike", CONFIG, HERE)
    assert Measured(tmp_path).pace(CONFIG, "another device") is None
    assert Measured(tmp_path).pace(DEEPER, DEVICE) is None
    assert Measured(tmp_path).known(CONFIG, "").pace is None


def test_a_run_says_of_its_device_what_is_not_known_before_it_begins(tmp_path: Path) -> None:
    plain, fused = (describe(torch.device("cpu"), fused=fused) for fused in (False, True))
    record(tmp_path, "fused", CONFIG, HERE, device=fused)
    assert Measured(tmp_path).pace(CONFIG, plain) is not None
