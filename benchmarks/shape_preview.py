"""Time from asking the warm helper for a preview to its answer, for networks of several depths."""

import queue
import statistics
import time

from engine.config import RunConfig
from engine.config_file import build_config
from engine.helper_messages import HelperFailed, Preview, Reply
from resnet_tui.setup.helper import Helper

NETWORKS = {
    "ResNet-20": {"model": {"depth": 20}},
    "ResNet-56": {"model": {"depth": 56}},
    "ResNet-110": {"model": {"depth": 110}},
    "ResNet-1202": {"model": {"depth": 1202}},
    "ResNet-34, four stages": {"model": {"depth": 34}},
    "DenseNet-100": {"model": {"arch": "densenet", "depth": 100}},
    "Inception-ResNet": {"model": {"arch": "inception-resnet"}},
}
REPEATS = 15


def answer(helper: Helper, config: RunConfig, replies: "queue.Queue[Reply]") -> float:
    """Return the seconds of one preview."""
    began = time.perf_counter()
    wanted = helper.preview(config)
    while True:
        reply = replies.get(timeout=60)
        if isinstance(reply, HelperFailed):
            raise SystemExit(reply.message)
        if isinstance(reply, Preview) and reply.id == wanted:
            return time.perf_counter() - began


def main() -> None:
    """Print median and worst of each network."""
    replies: queue.Queue[Reply] = queue.Queue()
    helper = Helper(replies.put)
    helper.start()
    try:
        for config in NETWORKS.values():  # warm
            answer(helper, build_config(config, {}), replies)
        time.sleep(8)  # let it finish what it warms by itself
        for name, config in NETWORKS.items():
            times = [answer(helper, build_config(config, {}), replies) * 1000 for _ in range(REPEATS)]
            print(f"{name:24} median {statistics.median(times):6.0f} ms, worst {max(times):6.0f} ms of {REPEATS}")
    finally:
        helper.close()


if __name__ == "__main__":
    main()
