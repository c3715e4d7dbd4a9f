"""A long log in fewer events: neighbouring readings become one, so that hundreds of thousands are read in an instant.

A ``step`` event holds means over steps anyway; several become one that holds the same means over all of them, so
sums over an epoch stay exact. Of gradient norms and of readings of host and device, one in so many is kept. Every
other event stays as it is, in its place. Imports no torch.
"""

import contextlib
import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter, mul

from engine.events import Event, Step, decode_line

_STEP = b'"kind":"step"}'
_THINNED = (b'"kind":"grad_norms"}', b'"kind":"system"}')
_FIELDS = re.compile(
    rb'^\{"seq":(\d{1,14}),"time":(\d{1,10}(?:\.\d+)?),"step":(\d{1,14}),"epoch":(\d{1,14}),'
    rb'"steps":(\d{1,14}),"images":(\d{1,14}),'
    rb'"loss":([\d.e+-]+),"accuracy":([\d.e+-]+),"lr":([\d.e+-]+),"images_per_second":([\d.e+-]+),"kind":"step"\}$',
    re.MULTILINE,
)
"""A line as ``events.encode`` writes it; what differs, such as a loss that is not finite, is decoded in full.

So is every number that has more digits: what has no more is within the limits of ``events``, as are sums of it.
"""
_Fields = tuple[bytes, ...]


def condensed(lines: Iterable[bytes], stride: int) -> Iterator[Event]:
    """Yield the events of ``lines``, about ``stride`` readings as one; damaged lines are passed over."""
    steps: list[bytes] = []
    passed = dict.fromkeys(_THINNED, 0)
    for line in lines:
        if line.endswith(_STEP):
            steps.append(line)
            if len(steps) >= stride:
                yield from _merged(steps)
                steps.clear()
            continue
        if line.endswith(_THINNED):
            kind = line[line.rindex(b'"kind"') :]
            passed[kind] += 1
            if passed[kind] % stride:
                continue
        yield from _merged(steps)
        steps.clear()
        if (event := decode_line(line)) is not None:
            yield event
    yield from _merged(steps)


def _merged(lines: list[bytes]) -> Iterator[Event]:
    """Yield readings as one an epoch; each by itself if there is one among them whose numbers are none."""
    readings = _FIELDS.findall(b"\n".join(lines))
    merged: list[Step] | None = None
    if len(readings) == len(lines):
        with contextlib.suppress(ValueError, OverflowError):
            merged = [_as_one(list(group)) for _, group in groupby(readings, itemgetter(3))]
    yield from merged if merged is not None else filter(None, map(decode_line, lines))


def _as_one(readings: list[_Fields]) -> Step:
    """Merge readings of one epoch; column by column, since there can be hundreds of thousands of them."""
    columns = list(zip(*readings, strict=True))
    steps, images = list(map(int, columns[4])), list(map(int, columns[5]))
    speeds = map(float, columns[9])
    total = sum(images)
    seconds = sum(size / speed for size, speed in zip(images, speeds, strict=True) if speed > 0)
    last = readings[-1]
    return Step(
        seq=int(last[0]),
        time=float(last[1]),
        step=int(last[2]),
        epoch=int(last[3]),
        steps=sum(steps),
        images=total,
        loss=sum(map(mul, map(float, columns[6]), images)) / max(1, total),
        accuracy=sum(map(mul, map(float, columns[7]), images)) / max(1, total),
        lr=float(last[8]),
        images_per_second=total / seconds if seconds else float(last[9]),
    )
