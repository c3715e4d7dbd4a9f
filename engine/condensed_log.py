"""A long log in fewer events: neighbouring readings become one, so that hundreds of thousands are read in an instant.

A ``step`` event holds means over steps anyway; several become one that holds the same means over all of them, so
sums over an epoch stay exact. Of gradient norms and of readings of host and device, one in so many is kept. Every
other event stays as it is, in its place. Imports no torch.
"""

import re
from collections.abc import Iterable, Iterator

from engine.events import Event, Step, decode_line

_STEP = b'"kind":"step"}'
_THINNED = (b'"kind":"grad_norms"}', b'"kind":"system"}')
_FIELDS = re.compile(
    rb'\{"seq":(\d+),"time":([\d.e+-]+),"step":(\d+),"epoch":(\d+),"steps":(\d+),"images":(\d+),'
    rb'"loss":([\d.e+-]+),"accuracy":([\d.e+-]+),"lr":([\d.e+-]+),"images_per_second":([\d.e+-]+),"kind":"step"\}'
)
"""A line as ``events.encode`` writes it; what differs, such as a loss that is not finite, is decoded in full."""


def condensed(lines: Iterable[bytes], stride: int) -> Iterator[Event]:
    """Yield the events of ``lines``, about ``stride`` readings as one; damaged lines are passed over."""
    steps, passed = _Merged(), dict.fromkeys(_THINNED, 0)
    for line in lines:
        if line.endswith(_STEP) and (fields := _FIELDS.fullmatch(line)) is not None:
            if steps.epoch not in {None, fields[4]}:
                yield from steps.take()
            if steps.add(fields):
                if steps.count >= stride:
                    yield from steps.take()
                continue
        if line.endswith(_THINNED):
            kind = line[line.rindex(b'"kind"') :]
            passed[kind] += 1
            if passed[kind] % stride:
                continue
        yield from steps.take()
        if (event := decode_line(line)) is not None:
            yield event
    yield from steps.take()


class _Merged:
    """Readings of one epoch on their way to becoming one."""

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self.count = 0
        self.epoch: bytes | None = None
        """Of the readings so far; None where there are none."""
        self._steps = self._images = 0
        self._loss = self._accuracy = self._seconds = 0.0
        self._last: re.Match[bytes] | None = None

    def add(self, fields: re.Match[bytes]) -> bool:
        """Take one reading; return whether its numbers are any."""
        try:
            self._add(fields)
        except (ValueError, OverflowError):
            return False
        return True

    def _add(self, fields: re.Match[bytes]) -> None:
        _, time, step, epoch, steps, size, loss, accuracy, lr, speed = fields.groups()
        images, images_per_second = int(size), float(speed)
        sums = float(loss) * images, float(accuracy) * images, int(steps), (float(time), float(lr), int(step))
        self.count += 1
        self.epoch = epoch
        self._steps += sums[2]
        self._images += images
        self._loss += sums[0]
        self._accuracy += sums[1]
        self._seconds += images / images_per_second if images_per_second > 0 else 0.0
        self._last = fields

    def take(self) -> Iterator[Step]:
        """Yield the readings so far as one, if there are any, and begin anew."""
        if (last := self._last) is None:
            return
        images = max(1, self._images)
        merged = Step(
            seq=int(last[1]),
            time=float(last[2]),
            step=int(last[3]),
            epoch=int(last[4]),
            steps=self._steps,
            images=self._images,
            loss=self._loss / images,
            accuracy=self._accuracy / images,
            lr=float(last[9]),
            images_per_second=self._images / self._seconds if self._seconds else float(last[10]),
        )
        self._clear()
        yield merged
