"""How well each class is told, which are taken for which, and the pictures that were wrong."""

from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.events import Resize
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static
from textual.worker import get_current_worker

from engine import mistakes, words
from engine.events import Evaluated, Split
from engine.run_dir import RunDir
from resnet_tui.panel import Panel
from resnet_tui.run.state import RunState, Scores, Topic
from resnet_tui.view import View
from resnet_tui.widgets.class_bars import ClassBars, PairList
from resnet_tui.widgets.confusion import Confusion
from resnet_tui.widgets.thumbnails import Thumbnails

_PARTS = ("bars", "matrix", "pairs", "pictures")
_MEDIUM, _LARGE = (100, 24), (170, 40)
"""Columns and rows from which several parts, or all, are seen at once."""


class ClassesTab(Panel, can_focus=True):
    """Bars, confusion matrix, confused pairs and wrong pictures of the latest evaluation of a split."""

    topics: frozenset[Topic] = frozenset({"evaluations"})
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("m", "page", "next part", id="classes.page"),
        Binding("o", "order", "order", id="classes.order"),
        Binding("v", "split", "split", id="classes.split"),
    ]
    DEFAULT_CSS = """
    ClassesTab { layout: vertical; }
    ClassesTab #head { height: 1; padding: 0 1; }
    ClassesTab #parts { height: 1fr; layout: vertical; }
    ClassesTab #parts > * { display: none; height: 1fr; padding: 0 1; }
    ClassesTab ConfusionGrid { display: none; }
    ClassesTab.bars #bars, ClassesTab.pairs #pairs, ClassesTab.pictures #pictures { display: block; }
    ClassesTab.matrix #matrix, ClassesTab.matrix ConfusionGrid { display: block; }
    ClassesTab.medium #parts > *, ClassesTab.large #parts > * {
        border: round $primary-darken-2;
        &:focus, &:focus-within { border: round $primary; }
    }
    ClassesTab.medium.bars #parts { layout: grid; grid-size: 2 2; grid-columns: 5fr 7fr; }
    ClassesTab.medium.bars #matrix { row-span: 2; }
    ClassesTab.large #parts { layout: grid; grid-size: 3 2; grid-columns: 4fr 5fr 4fr; }
    ClassesTab.large #matrix, ClassesTab.large #pictures { row-span: 2; }
    """

    class _Read(Message):
        """The pictures have been read."""

        def __init__(self, found: mistakes.Mistakes | None) -> None:
            self.found = found
            super().__init__()

    def __init__(self, run: RunDir | None) -> None:
        """Show the pictures of ``run``; with None there are none."""
        super().__init__()
        self._run = run
        self._bars, self._matrix, self._pairs = ClassBars(), Confusion(), PairList()
        self._pictures = Thumbnails()
        self._page = 0
        self._offered = 0, 0
        self._worst_first = False
        self._split: Split | None = None
        self._state: RunState | None = None
        self._shown: Evaluated | None = None
        self._newest: Evaluated | None = None
        self._evaluated: dict[Split, Scores] = {}

    def compose(self) -> ComposeResult:
        """Yield the head and the parts in reading order."""
        yield Static(id="head", markup=False)
        with Container(id="parts"):
            yield self._bars
            yield self._matrix
            yield self._pictures
            yield self._pairs

    @property
    def pages(self) -> tuple[tuple[str, ...], ...]:
        """What is seen at once, page by page, at the tab's size."""
        width, height = self.size
        if width >= _LARGE[0] and height >= _LARGE[1]:
            return (_PARTS,)
        if width >= _MEDIUM[0] and height >= _MEDIUM[1]:
            return ("bars", "matrix", "pairs"), ("pictures",)
        return tuple((part,) for part in _PARTS)

    def show(self, state: RunState, view: View) -> None:  # noqa: ARG002 (evaluations stand for themselves)
        """Draw the latest evaluation of the chosen split, if it is another than before."""
        self._state = state
        self._evaluated = {split: scores for split, scores in state.scores.items() if scores.latest is not None}
        chosen = self._chosen(state)
        if chosen is not self._shown:
            self._shown = chosen
            self._draw()
        evaluations = [scores.latest for scores in self._evaluated.values() if scores.latest is not None]
        newest = max(evaluations, key=lambda scores: scores.seq, default=None)
        if newest is not self._newest:
            self._newest = newest
            self._read_pictures()

    def _chosen(self, state: RunState) -> Evaluated | None:
        if self._split not in self._evaluated:
            choosing = state.summary.choosing_split
            self._split = choosing if choosing in self._evaluated else next(iter(self._evaluated), None)
        return self._evaluated[self._split].latest if self._split else None

    def _draw(self) -> None:
        scores = self._shown
        if scores is not None and self._state is not None:
            classes = self._state.summary.classes
            before = self._evaluated[scores.split].before
            self._bars.show(scores, classes, before, worst_first=self._worst_first)
            self._matrix.show(scores, classes)
            self._pairs.show(scores, classes)
        self._arrange()

    def _arrange(self) -> None:
        """Show the parts of the page, and say above them what they are of."""
        pages = self.pages
        self._page %= len(pages)
        self.set_class(len(pages) == 1, "large")
        self.set_class(len(pages) == 2, "medium")
        for part in _PARTS:
            self.set_class(part in pages[self._page] and self._shown is not None, part)
        if self._shown is not None:
            rows = min(len(self._shown.per_class) + 2, (self.size.height - 1) * 3 // 5)
            self.query_one("#parts").styles.grid_rows = f"{rows} 1fr"
        self.query_one("#head", Static).update(self._head(pages), layout=False)
        had_focus = self.has_focus
        self.can_focus = self._shown is None  # from then on its parts have the keys
        if had_focus and not self.can_focus:
            self._focus_page()
        offered = len(pages), len(self._evaluated)
        if offered != self._offered:
            self._offered = offered
            self.refresh_bindings()

    def _head(self, pages: tuple[tuple[str, ...], ...]) -> Text:
        scores = self._shown
        if scores is None:
            return Text("no evaluation yet: the first comes at the end of epoch 1", "dim")
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append(f"{scores.split}, epoch {scores.epoch}: ", "bold")
        text.append(f"accuracy {words.percent(scores.accuracy)}")
        menu = Text()
        for index, page in enumerate(pages if len(pages) > 1 else ()):
            menu.append("  ").append(f" {' + '.join(page)} ", "reverse" if index == self._page else "dim")
        more = "" if scores.top5 is None else f", top-5 {words.percent(scores.top5)}"
        for fact in (more, f", {scores.images:,} images"):
            if text.cell_len + len(fact) + menu.cell_len <= self.size.width - 2:
                text.append(fact)
        return text.append_text(menu)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002 (of the base)
        """Offer another part or split only where there is one."""
        if action == "split":
            return len(self._evaluated) > 1
        return action != "page" or len(self.pages) > 1

    def on_resize(self, _event: Resize) -> None:
        """Show as many parts as fit."""
        had_focus = self.has_focus_within
        self._arrange()
        if had_focus and not any(part.has_focus_within for part in self._parts() if part.display):
            self._focus_page()

    def action_page(self) -> None:
        """Show the next part."""
        self._page += 1
        self._arrange()
        self._focus_page()

    def _parts(self) -> tuple[Widget, ...]:
        return self._bars, self._matrix, self._pairs, self._pictures

    def _focus_page(self) -> None:
        part = self._parts()[_PARTS.index(self.pages[self._page][0])]
        (self._matrix.grid if part is self._matrix else part).focus()

    def action_order(self) -> None:
        """Sort the bars by accuracy, or as the classes are."""
        self._worst_first = not self._worst_first
        self._draw()

    def action_split(self) -> None:
        """Show the next split that was evaluated."""
        splits = list(self._evaluated)
        if len(splits) > 1 and self._split is not None and self._state is not None:
            self._split = splits[(splits.index(self._split) + 1) % len(splits)]
            self._shown = self._evaluated[self._split].latest
            self._draw()

    @work(thread=True, exclusive=True)
    def _read_pictures(self) -> None:
        found = mistakes.read(self._run.mistakes) if self._run is not None else None
        if not get_current_worker().is_cancelled:
            self.post_message(self._Read(found))

    @on(_Read)
    def _show_pictures(self, event: _Read) -> None:
        event.stop()
        self._pictures.show(event.found, self._state.summary.classes if self._state else ())
