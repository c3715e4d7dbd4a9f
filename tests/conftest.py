"""One thread a process: test processes share the cores, and threads that spin for each other cost far more."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
