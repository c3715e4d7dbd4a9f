"""Giving way: inherited, and taken back by a run's process."""

import os
import subprocess
import sys
import threading

import pytest

from engine.courtesy import give_way

SCHEDULERS = """
import os
from engine.courtesy import give_way_no_longer
before = os.sched_getscheduler(0)
give_way_no_longer()
print(before, os.sched_getscheduler(0))
"""


@pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="Linux only")
def test_it_is_of_the_thread_and_what_it_starts_until_that_takes_it_back() -> None:
    said: list[bytes] = []

    def polite() -> None:
        give_way()
        said.append(subprocess.check_output([sys.executable, "-c", SCHEDULERS]))

    thread = threading.Thread(target=polite)
    thread.start()
    thread.join()
    assert [int(policy) for policy in said[0].split()] == [os.SCHED_BATCH, os.SCHED_OTHER]
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
