"""What a waiting process is told to train: read back as it was written, anything else refused in words."""

from pathlib import Path

import pytest
from support import tiny

from engine import order
from engine.config_file import build_config
from engine.errors import ConfigError
from engine.run_dir import RunDir


@pytest.mark.parametrize("resume", [None, "again"])
def test_an_order_is_read_as_it_was_written(tmp_path: Path, resume: str | None) -> None:
    config = tiny(train__epochs=7)
    run = RunDir(tmp_path / resume) if resume is not None else None
    wanted = order.decode(order.encode(config, run))
    assert build_config(wanted.config, {}) == config
    assert wanted.resume == (str(tmp_path / resume) if resume is not None else None)


@pytest.mark.parametrize(
    "said",
    [
        b"x",
        b"[]",
        b"3",
        b"{}",
        b"\xff",
        b'{"config": 3, "resume": null}',
        b'{"config": "", "resume": 5}',
        b'{"config": "[", "resume": null}',
    ],
)
def test_anything_else_is_refused_in_words(said: bytes) -> None:
    with pytest.raises(ConfigError, match="standard input: not an order to train: "):
        order.decode(said)
