"""Text made to harm whoever shows it, a run that is full of it, and what of a terminal's bytes is more than text."""

from __future__ import annotations

import os
import random
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from made_run import MadeRun

from engine.config_file import to_toml
from engine.events import (
    CheckpointSaved,
    ControlApplied,
    EpochStarted,
    Evaluated,
    Event,
    GradNorms,
    ModelBuilt,
    Progress,
    Pruned,
    RunFinished,
    RunStarted,
    ShapeRow,
    Step,
    System,
    Warned,
    WeightsLoaded,
    encode,
)
from engine.mistakes import Mistake, Mistakes, write
from engine.run_dir import RunDir

FRAGMENTS = (
    # What terminals take for commands, in seven bits and in eight: titles, clipboard, links, queries, screens.
    "\x1b]0;PWN\x07",
    "\x1b]52;c;UFdO\x07",
    "\x1b]8;;http://PWN\x1b\\x\x1b]8;;\x1b\\",
    "\x1bP+q505743\x1b\\",
    "\x1b_PWN\x1b\\",
    "\x1b^PWN\x1b\\",
    "\x1b[2J",
    "\x1b[31m",
    "\x1b[?1049l",
    "\x1b[6n",
    "\x1b[21t",
    "\x1b[?1004h",
    "\x1bc",
    "\x1b(0",
    "\x1b",
    "\x9b31m",
    "\x9d0;PWN\x9c",
    "\x90PWN\x9c",
    "\x9fPWN\x9c",
    "\x85",
    "\x00",
    "\x05",
    "\x07",
    "\x08",
    "\t",
    "\n",
    "\x0b",
    "\x0c",
    "\r",
    "\x0e",
    "\x1a",
    "\x1c",
    "\x7f",
    # What is not seen, or makes text read as another.
    "\u202e",
    "\u2066",
    "\u2069",
    "\u200b",
    "\u200d",
    "\ufeff",
    "\u2028",
    "\u2029",
    "\u00ad",
    "\U000e0041",
    "\ue000",
    "\uffff",
    # Markup, actions, formats.
    "[red]",
    "[/red]",
    "[/]",
    "[@click=app.exit]PWN[/]",
    "[@click=app.bell()]PWN[/]",
    "[link=http://PWN]x[/link]",
    "[$primary]",
    "\\[",
    "[",
    "]",
    ":bomb:",
    "{0}",
    "{x!r}",
    "%s",
    "%(x)s",
    "$(id)",
    "`id`",
    "<b>",
    "&amp;",
    "|",
    "'",
    '"',
    "\\x1b",
    # What is wider or narrower than a cell.
    "e\u0301\u0301\u0301",
    "漢字",
    "👩\u200d👩\u200d👧",
    "ﷺ",
    "ﬁ",
    "🇪🇺",
    "a",
    " ",
    "x" * 300,
)
ACTIONS = ("app.exit", "app.bell", "http://PWN")
DROPPED = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


class Hostile:
    """A source of hostile text."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.made = 0
        """How many were made."""

    def text(self) -> str:
        """Return some fragments, and sometimes a character of all that there are."""
        self.made += 1
        parts = self._random.choices(FRAGMENTS, k=self._random.randint(1, 5))
        if self._random.random() < 0.3:
            code = self._random.randrange(0x110000)
            parts.append("" if 0xD800 <= code < 0xE000 else chr(code))
        return "".join(parts)

    def texts(self, count: int) -> tuple[str, ...]:
        """Return so many."""
        return tuple(self.text() for _ in range(count))

    def name(self, most: int = 120) -> str:
        """Return one that a file can have, also one that is not UTF-8."""
        raw = self.text().replace("/", "").replace("\0", "").encode()[:most]
        if self._random.random() < 0.3:
            raw += bytes([self._random.randrange(0x80, 0x100)])
        return os.fsdecode(raw or b"\x1b").lstrip(".") or "\x1b"


def hostile_events(hostile: Hostile, many: int) -> Iterator[Event]:
    """Yield a run in legal order in which whatever is text is hostile: ``many`` classes, parts, rows and warnings."""
    made, text, texts = MadeRun(3), hostile.text, hostile.texts
    started, _ = made.begin()
    assert isinstance(started, RunStarted)
    versions = tuple(zip(texts(5), texts(5), strict=True))
    yield replace(started, device=text(), precision=text(), host=text(), versions=versions, classes=texts(many))
    yield made.at(
        WeightsLoaded(
            source=text(),
            sha256=text(),
            network=text(),
            layout=text(),
            normalise=text(),
            loaded=3,
            adapted=texts(3),
            fresh=texts(3),
            missing=texts(3),
            left_out=texts(3),
        )
    )
    parts = texts(many)
    rows = tuple(
        ShapeRow(stage, text(), text(), text(), (3, 3), (1, 1), (1, 1), (3, 8, 8), (8, 8, 8), 9, 9, text(), 9, 9)
        for stage in parts
    )
    yield made.at(ModelBuilt(rows=rows, blocks=parts, params=9, macs=9))
    for step in range(1, 12):
        yield (
            made.at(EpochStarted(epoch=1, epochs=3))
            if step == 1
            else made.at(Progress(activity=text(), done=1, total=9, unit=text()))
        )
        yield made.at(
            Step(step=step, epoch=1, steps=1, images=8, loss=1 / step, accuracy=0.5, lr=0.1, images_per_second=9.0),
            after=1,
        )
        yield made.at(GradNorms(step=step, norms=tuple(0.1 * (i + 1) for i in range(many)), total=1.0))
        yield made.at(
            System(cpu_percent=1, memory_bytes=1, host_cpu_percent=1, host_memory_bytes=1, host_memory_total=2)
        )
        yield made.at(ControlApplied(step=step, command=text(), value=step, source=text(), id=text()))
    for _ in range(many):
        yield made.at(Warned(message=text()))
    yield made.at(
        Pruned(
            step=11,
            epoch=1,
            amount=0.5,
            weights=9,
            zeros=4,
            parts=tuple((part, 9, 4) for part in parts),
            threshold=0.1,
            compressed_before=9,
            compressed_after=4,
        )
    )
    confusion = tuple(tuple(i + j for j in range(many)) for i in range(many))
    yield made.at(
        Evaluated(
            step=12,
            epoch=1,
            split="test",
            loss=1.0,
            accuracy=0.5,
            top5=0.9,
            per_class=(0.5,) * many,
            confusion=confusion,
            images=9,
            seconds=1.0,
        )
    )
    yield made.at(CheckpointSaved(step=12, epoch=1, which="last", path=text(), accuracy=0.5))
    finished = made.finish("failed", text())
    assert isinstance(finished, RunFinished)
    yield finished


def hostile_run(folder: Path, hostile: Hostile, many: int) -> RunDir:
    """Make a run full of hostile text, in a folder of a hostile name below ``folder``."""
    run = RunDir(folder / hostile.name())
    run.checkpoints.mkdir(parents=True)
    weights = {"source": hostile.text().replace("\0", "")}
    config = MadeRun(3).config
    config = config.model_copy(update={"weights": config.weights.model_copy(update=weights)})
    run.config_file.write_text(to_toml(config))
    run.events.write_bytes(b"".join(map(encode, hostile_events(hostile, many))))
    stamp = "2026-11-21T14:00:00+00:00 "
    run.log.write_text(
        "".join(f"{stamp if i % 3 else ''}{hostile.text()}\n" for i in range(many * 5)), errors="replace"
    )
    run.metrics.write_text("")
    wrong = tuple(Mistake(i, i % many, (i + 1) % many, 0.9, bytes(range(192))) for i in range(9))
    write(run.mistakes, Mistakes(step=12, epoch=1, split="test", shape=(3, 8, 8), mistakes=wrong))
    return run


def assert_plain(text: str, *, besides: str = "\n") -> None:
    """Nothing in ``text`` is more than a character that is seen."""
    found = {c for c in set(text) if c not in besides and unicodedata.category(c) in DROPPED}
    assert not found, [hex(ord(c)) for c in found]


_SEQUENCE = re.compile(
    rb"\x1b\[([<=>?]?)[0-9;:]*([ -/]?)([@-~])"  # CSI: what it begins and ends with is what it does
    rb"|(\x1b[\]PX^_](?:[^\x07\x1b]|\x1b(?!\\))*(?:\x07|\x1b\\)?)"  # OSC, DCS, SOS, PM, APC: all of it
    rb"|(\x1b[ -/]*[0-~]?)|([\x00-\x1f\x7f])"
)


def commands(output: bytes) -> set[bytes]:
    """Return what of a terminal's bytes is a command, without numbers, and check that the rest is plain text."""
    found, rest, end = set(), b"", 0
    for match in _SEQUENCE.finditer(output):
        rest += output[end : match.start()]
        end = match.end()
        prefix, between, final, *others = match.groups()
        found.add(
            next((other for other in others if other), b"CSI " + (prefix or b"") + (between or b"") + (final or b""))
        )
    assert_plain((rest + output[end:]).decode(), besides="")
    return found
