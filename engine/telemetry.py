"""What is measured of a training run, and when: sums stay on the device until a reading is due, one transfer each."""

import math
import time
from dataclasses import replace

import torch
from torch import Tensor

from engine.events import GradNorms, Step, System
from engine.system import SystemMeter


class Telemetry:
    """Sums loss and accuracy between readings."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.restart()

    def restart(self) -> None:
        """Begin an interval now; also after a pause or an evaluation, which must not count as training time."""
        self._loss = torch.zeros((), device=self._device)
        self._right = torch.zeros((), device=self._device)
        self._images = self._steps = 0
        self._began = time.monotonic()

    @property
    def empty(self) -> bool:
        """Whether no step was added since the last reading."""
        return self._steps == 0

    def add(self, loss: Tensor, right: Tensor, images: int) -> None:
        """Add one step's mean loss and number right; nothing is synchronised."""
        self._loss += loss * images
        self._right += right
        self._images += images
        self._steps += 1

    def read(self, step: int, epoch: int, lr: float, norms_P: Tensor | None) -> tuple[Step, GradNorms | None]:
        """Read the interval and begin the next one.

        Args:
            step: steps finished since the run began.
            epoch: the epoch they belong to.
            lr: the last step's learning rate.
            norms_P: gradient norm of each part at the last step, on the device.
        """
        sums = torch.stack((self._loss, self._right))
        # The host-device synchronisation: everything of this interval in one transfer.
        values = (sums if norms_P is None else torch.cat((sums, norms_P))).tolist()
        seconds = time.monotonic() - self._began
        reading = Step(
            step=step,
            epoch=epoch,
            steps=self._steps,
            images=self._images,
            loss=values[0] / self._images,
            accuracy=values[1] / self._images,
            lr=lr,
            images_per_second=self._images / max(seconds, 1e-9),
        )
        self.restart()
        if norms_P is None:
            return reading, None
        norms = values[2:]
        return reading, GradNorms(step=step, norms=tuple(norms), total=math.hypot(*norms))


class UseReadings:
    """Use of host and device, every so many seconds."""

    def __init__(self, meter: SystemMeter, seconds: float) -> None:
        self._meter, self._seconds = meter, seconds
        self._read = time.monotonic()
        self.rank_speeds: tuple[float, ...] = ()
        """As they were at the latest reading of the telemetry."""

    def due(self) -> System | None:
        """Return a reading if it is time for one."""
        if time.monotonic() - self._read < self._seconds:
            return None
        self._read = time.monotonic()
        return replace(self._meter.read(), rank_images_per_second=self.rank_speeds)
