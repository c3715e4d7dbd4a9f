"""What ``throughput.py`` measures, each in a process of its own: says ``ready``, reads ``go``, writes images/s.

Peers' code is run as it is in their checkouts: only the data is made, and without a GPU ``cuda()`` does nothing.
"""

import argparse
import json
import os
import runpy
import sys
import tempfile
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from engine.allocator import keep_freed_memory

SKIPPED = 10
"""Steps of a peer's epoch before the clock starts, so that its loader's workers are running."""


def wait() -> None:
    """Say that nothing else is going on here, and wait for the parent's word; end with it."""
    _write("ready")
    if sys.stdin.readline().strip() != "go":
        os._exit(0)


def tell(images: float, seconds: float) -> None:
    """Give the parent one measurement."""
    _write(str(images / seconds))


def _write(line: str) -> None:
    assert sys.__stdout__ is not None
    print(line, file=sys.__stdout__, flush=True)


def ours(settings: dict[str, Any], steps: int) -> None:
    """Train as the host does: the whole trainer with data, augmentation and telemetry; no evaluation."""
    keep_freed_memory()
    from engine.config_file import build_config
    from engine.control import Control
    from engine.data.sources import load
    from engine.events import EpochStarted, Step
    from engine.loop import Trainer

    batch = settings["train"]["batch_size"]
    settings["data"] = {
        "dataset": "synthetic", "synthetic_size": batch * steps,
        "normalise": "cifar10", "crop_padding": 4, "flip": True,
    }  # fmt: skip
    config = build_config(settings, {})
    trainer = Trainer(config, finished(load(config.data, config.train.seed)), Control())
    began, done = 0.0, 0
    for event in trainer.events():
        if isinstance(event, EpochStarted):
            wait()
            began, done = time.perf_counter(), 0
        elif isinstance(event, Step):
            done += event.images
            if done == batch * steps:
                tell(done, time.perf_counter() - began)


def finished(generator: Generator[Any, None, Any]) -> Any:
    """Run a generator to its end and return what it returns."""
    while True:
        try:
            next(generator)
        except StopIteration as end:
            return end.value


def bound(settings: dict[str, Any], steps: int) -> None:
    """The convolutions alone, forward and backward, channels-last: all that a step cannot do without."""
    keep_freed_memory()
    import torch
    from torch import nn
    from torch.nn import functional as F

    from engine.config_file import build_config
    from engine.devices import resolve, resolve_precision
    from engine.models import build_initialised

    config = build_config(settings, {})
    device = resolve(config.train.device)
    dtype = resolve_precision(config.train.precision, device)
    model = build_initialised(config.model, (3, 32, 32), 10, 1, device)
    calls: list[tuple[nn.Conv2d, Any, Any]] = []

    def note(conv: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        assert isinstance(conv, nn.Conv2d)
        x = torch.randn_like(inputs[0]).to(dtype).requires_grad_(bool(calls))  # the pictures need no gradient
        calls.append((conv, x, torch.randn_like(output).to(dtype)))

    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(note)
    pictures = torch.randn(config.train.batch_size, 3, 32, 32, device=device)
    with torch.no_grad():
        model(pictures.contiguous(memory_format=torch.channels_last))
    weights = [conv.weight.detach().to(dtype).requires_grad_() for conv, _, _ in calls]

    def step() -> None:
        for (conv, x, dy), weight in zip(calls, weights, strict=True):
            y = F.conv2d(x, weight, None, conv.stride, conv.padding)  # type: ignore[arg-type]
            torch.autograd.grad(y, (x, weight) if x.requires_grad else (weight,), dy)

    step()
    while True:
        wait()
        began = time.perf_counter()
        for _ in range(steps):
            step()
        tell(steps * config.train.batch_size, time.perf_counter() - began)


def peer(name: str, checkout: str, settings: dict[str, Any], steps: int, workers: int) -> None:
    """Run a peer's own loop, or its model in the plainest loop where it has none."""
    import torch
    from torch import nn

    batch, depth = settings["train"]["batch_size"], settings["model"]["depth"]
    for kind in (torch.Tensor, nn.Module):
        if not torch.cuda.is_available():
            kind.cuda = lambda self, *_a, **_k: self  # type: ignore[method-assign, assignment]
    torch.save = lambda *_a, **_k: None  # type: ignore[assignment]
    give_made_pictures(steps)
    sys.path.insert(0, checkout)
    with tempfile.TemporaryDirectory() as folder, Path(os.devnull).open("w") as nowhere:
        os.chdir(folder)
        sys.stdout = nowhere
        if name == "akamaster":
            sys.argv = ["trainer.py", "--arch", f"resnet{depth}", "-b", str(batch), "-j", str(workers)]
            runpy.run_path(f"{checkout}/trainer.py", run_name="__main__")
        elif name == "kuangliu":
            sys.argv = ["main.py"]
            give_kuangliu_a_resnet(settings)
            runpy.run_path(f"{checkout}/main.py", run_name="__main__")
        else:
            plain_loop(depth, batch, workers)


def give_made_pictures(steps: int) -> None:
    """Put made pictures in the place of CIFAR-10, and a clock into the loader of the training set."""
    import numpy as np
    import torchvision
    from PIL import Image
    from torch.utils import data

    class Pictures:
        def __init__(self, *_: Any, train: bool = True, transform: Any = None, **__: Any) -> None:
            self._x = np.random.default_rng(0).integers(0, 256, (50_000 if train else 100, 32, 32, 3), dtype=np.uint8)
            self._transform, self.train = transform, train

        def __len__(self) -> int:
            return len(self._x)

        def __getitem__(self, index: int) -> tuple[Any, int]:
            return self._transform(Image.fromarray(self._x[index])), index % 10

    class TimedLoader(data.DataLoader):  # type: ignore[type-arg]
        def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
            if not self.dataset.train:  # type: ignore[attr-defined]
                yield from super().__iter__()
                return
            wait()
            began = 0.0
            for index, batch in enumerate(super().__iter__()):
                if index == SKIPPED:
                    began = time.perf_counter()
                if index == SKIPPED + steps:
                    tell(steps * self.batch_size, time.perf_counter() - began)  # type: ignore[operator]
                    return
                yield batch

    torchvision.datasets.CIFAR10 = Pictures
    data.DataLoader = TimedLoader  # type: ignore[misc]


def give_kuangliu_a_resnet(settings: dict[str, Any]) -> None:
    """Let its script train this network in plain torch instead of its own choice, and draw no progress bar."""
    import types

    import models  # type: ignore[import-not-found]  # from the checkout
    import torch

    from engine.config_file import build_config
    from engine.models import build_initialised

    config = build_config(settings, {}).model
    models.SimpleDLA = lambda: build_initialised(config, (3, 32, 32), 10, 1, torch.device("cpu")).to(
        memory_format=torch.contiguous_format
    )
    utils = types.ModuleType("utils")
    utils.progress_bar = lambda *_a: None  # type: ignore[attr-defined]  # it needs a terminal
    sys.modules["utils"] = utils


def plain_loop(depth: int, batch: int, workers: int) -> None:
    """The plainest training loop around chenyaofo's network."""
    import torch
    import torchvision
    from pytorch_cifar_models import resnet  # type: ignore[import-not-found]  # from the checkout
    from torch.utils import data
    from torchvision import transforms

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = getattr(resnet, f"cifar10_resnet{depth}")().to(device)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
    prepare = transforms.Compose(
        [
            transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip(), transforms.ToTensor(),
            transforms.Normalize((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
        ]
    )  # fmt: skip
    pictures = torchvision.datasets.CIFAR10(train=True, transform=prepare)
    loader = data.DataLoader(pictures, batch_size=batch, shuffle=True, num_workers=workers, pin_memory=True)
    while True:
        for x, y in loader:
            optimiser.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(x.to(device)), y.to(device))
            loss.backward()
            optimiser.step()
            loss.item()


def main() -> None:
    """Measure one subject for as long as the parent asks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("subject", choices=["ours", "bound", "akamaster", "kuangliu", "chenyaofo"])
    parser.add_argument("settings", type=json.loads)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--checkout", default="")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    if given.subject == "ours":
        ours(given.settings, given.steps)
    elif given.subject == "bound":
        bound(given.settings, given.steps)
    else:
        peer(given.subject, given.checkout, given.settings, given.steps, given.workers)


if __name__ == "__main__":
    main()
