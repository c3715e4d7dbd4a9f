"""A finished run that several tests look at."""

import pytest
from support import tiny, train

from engine.run_dir import RunDir, iterate


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """Train a tiny run to its end."""
    runs = tmp_path_factory.mktemp("finished")
    train(tiny(train__epochs=4), runs)
    (run,) = iterate(runs)
    return run
