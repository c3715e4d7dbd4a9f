"""What tests of several promises begin with."""

import pytest
from support import tiny, train

from engine.run_dir import RunDir, iterate


@pytest.fixture(scope="module")
def trained_run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """Train a tiny run to its end."""
    runs = tmp_path_factory.mktemp("trained") / "runs"
    train(tiny(train__epochs=1), runs)
    (run,) = iterate(runs)
    return run
