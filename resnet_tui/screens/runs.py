"""All runs of a folder: what became of each, and what to do with it."""

import asyncio
import contextlib
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import ClassVar

from textual import events, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.screen import Screen
from textual.widgets import DataTable, Input, Static

from engine import words
from engine.errors import UserError
from engine.resume import config_to_resume
from engine.text import one_line
from resnet_tui.messages import OpenRun, ReplayRun, StartRun, post
from resnet_tui.run.listing import SORTS, Listed, Scan, Watch, matches
from resnet_tui.screens.ask_value import AskValue
from resnet_tui.screens.compare import MOST, CompareScreen
from resnet_tui.screens.confirm import Choice, Confirm
from resnet_tui.widgets.keys import Keys
from resnet_tui.widgets.run_details import DIVERGES_AGAIN, RunDetails
from resnet_tui.widgets.run_table import RunTable

_SORT_OF_COLUMN = {"name": "name", "best": "best accuracy", "began": "newest"}


class Found(Message):
    """A look at the folder found something."""

    def __init__(self, scan: Scan) -> None:
        self.scan = scan
        super().__init__()


class RunsScreen(Screen[None]):
    """Lists runs, newest first; asks the app to open, replay or go on with one by a message."""

    CSS_PATH = "runs.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "replay", "replay", id="runs.replay"),
        Binding("u", "resume", "resume", id="runs.resume"),
        Binding("space", "mark", "mark", id="runs.mark", tooltip="mark the run to compare it", show=False),
        Binding("c", "compare", "compare", id="runs.compare"),
        Binding("d,delete", "remove", "remove", id="runs.remove"),
        Binding("slash", "filter", "filter", id="runs.filter"),
        Binding("o", "order", "order", id="runs.order", tooltip="list the runs in another order", show=False),
        Binding("escape", "back", "back", id="runs.back", show=False),
    ]

    def __init__(self, runs: Path, *, readonly: bool = False) -> None:
        """List the runs in the folder ``runs``, which need not exist yet; ``readonly``: only to look at them."""
        super().__init__()
        self._folder, self._readonly = runs, readonly
        self._known: dict[Path, Listed] = {}
        self._marked: set[Path] = set()
        self._sorts = cycle(SORTS)
        self._sort = next(self._sorts)
        self._reading, self._problem = True, ""
        self._watch: Watch | None = None

    def compose(self) -> ComposeResult:
        """Lay out a line that says what is listed, the table, what is under the cursor, and the filter."""
        yield Static(id="summary")
        with Horizontal(id="body"):
            yield RunTable(id="runs")
            yield Static(id="empty")
            yield RunDetails(id="details")
        yield Input(placeholder="words of name, network, dataset or state", id="filter", compact=True)
        yield Keys()

    def on_mount(self) -> None:
        """Begin to look at the folder."""
        self.query_one(RunTable).focus()
        self._show()
        self._watch = Watch(self._folder, self._tell)
        self._watch.start()

    def on_unmount(self) -> None:
        """Look no more."""
        if self._watch:
            self._watch.stop()

    def on_screen_suspend(self) -> None:
        """Cost nothing while nobody looks."""
        if self._watch:
            self._watch.rest()

    def on_screen_resume(self) -> None:
        """Show at once what happened meanwhile."""
        if self._watch:
            self._watch.look()

    def on_resize(self, event: events.Resize) -> None:
        """Put the details where there is room: beside the table, below it, or nowhere."""
        self.set_class(event.size.width >= 190, "-wide")
        self.set_class(event.size.height < 16, "-low")

    def on_found(self, message: Found) -> None:
        """Take in what was read."""
        scan, before = message.scan, (self._known.keys(), self._reading, self._problem)
        self._reading, self._problem = not scan.done, scan.problem
        known = self._known | {listed.run.path: listed for listed in scan.changed}
        self._known = {path: listed for path, listed in known.items() if path in scan.paths}
        if scan.changed or (self._known.keys(), self._reading, self._problem) != before:
            self._marked &= set(self._known)
            self._show()

    def _tell(self, scan: Scan) -> None:
        """Take a find over from the thread that looks."""
        post(self, Found(scan))

    # What is seen --------------------------------------------------------------------------------------------

    @property
    def current(self) -> Listed | None:
        """The run under the cursor."""
        path = self.query_one(RunTable).current
        return self._known.get(path) if path is not None else None

    def _show(self) -> None:
        wanted = self.query_one("#filter", Input).value
        runs = sorted((listed for listed in self._known.values() if matches(listed, wanted)), key=SORTS[self._sort])
        self.query_one(RunTable).show(runs, self._marked)
        self.query_one("#empty", Static).update(Content(self._nothing(wanted)))
        self.set_class(not runs, "-empty")
        self.query_one("#summary", Static).update(Content.assemble(*self._summary(len(runs), wanted)))
        self._describe()

    def _describe(self) -> None:
        self.query_one(RunDetails).show(self.current, advise=not self._readonly)

    def _nothing(self, wanted: str) -> str:
        if self._problem:
            return f"The runs cannot be listed: {self._problem}"
        if self._known:
            return f"No run has “{one_line(wanted)}”. Escape shows all {len(self._known)}."
        if self._reading:
            return "Looking for runs…"
        here = "Start one in a shell" if self._readonly else "Set one up and start it here, or in a shell"
        return f"No runs in {one_line(str(self._folder))} yet.\n\n{here}:\n\n  resnet-tui train --headless"

    def _summary(self, shown: int, wanted: str) -> Iterator[tuple[str, str]]:
        total = len(self._known)
        alive = sum(listed.alive for listed in self._known.values())
        yield (f"{total} run{'' if total == 1 else 's'}", "bold")
        if self._readonly:
            yield (" read-only", "$warning")
        if alive:
            yield (f", {alive} live", "bold $success")
        if wanted:
            yield (f"  {shown} with “{one_line(wanted)}”", "$accent")
        if self._marked:
            yield (f"  {len(self._marked)} marked", "$accent")
        yield (f"  by {self._sort}", "$text-muted")
        yield ("  reading…" if self._reading else f"  in {one_line(str(self._folder))}", "$text-muted")

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        """Describe the run that the cursor came to."""
        event.stop()
        self._describe()

    # Filter and order ----------------------------------------------------------------------------------------

    def action_filter(self) -> None:
        """Let the person type what the runs must have."""
        self.add_class("-filter")
        self.query_one("#filter", Input).focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while it is typed."""
        event.stop()
        self._show()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep the filter and go back to the table."""
        event.stop()
        self.set_class(bool(event.value), "-filter")
        self.query_one(RunTable).focus()

    def action_back(self) -> None:
        """Clear the filter; where there is none, leave the screen if there is one below."""
        if self.has_class("-filter"):
            self.query_one("#filter", Input).clear()
            self.remove_class("-filter")
            self.query_one(RunTable).focus()
        elif len(self.app.screen_stack) > 1:
            self.dismiss()

    def action_order(self) -> None:
        """Take the next order."""
        self._sort = next(self._sorts)
        self._show()

    def on_data_table_header_selected(self, event: DataTable.HeaderSelected) -> None:
        """Sort by the column that was clicked, where there is such an order."""
        event.stop()
        wanted = _SORT_OF_COLUMN.get(event.column_key.value or "", self._sort)
        while self._sort != wanted:
            self._sort = next(self._sorts)
        self._show()

    # Actions -------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002 (of the base)
        """Offer what changes a run only where that is allowed."""
        return not (self._readonly and action in {"resume", "remove"})

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Open the run that was picked."""
        event.stop()
        if (listed := self._readable()) is not None:
            self.post_message(OpenRun(listed.run))

    def action_replay(self) -> None:
        """Play the run again."""
        if (listed := self._readable()) is not None:
            self.post_message(ReplayRun(listed.run))

    def action_mark(self) -> None:
        """Mark the run, or take its mark away, and go to the next."""
        if (listed := self._readable()) is not None:
            self._marked ^= {listed.run.path}
            self._show()
            self.query_one(RunTable).action_cursor_down()

    def action_compare(self) -> None:
        """Compare the marked runs; where fewer than two are, the one under the cursor with them or its elder."""
        paths = [path for path in self._known if path in self._marked]
        if len(paths) < 2 and (current := self._readable()) is not None:
            shown = [path for path in self.query_one(RunTable).shown if self._known[path].summary is not None]
            at = shown.index(current.run.path)
            neighbours = (*shown[at : at + 2], *shown[max(0, at - 1) : at])
            paths = list(dict.fromkeys((*paths, *neighbours)))[:2]
        if not 2 <= len(paths) <= MOST:
            count = "is only" if len(paths) < 2 else "are"
            self._warn(f"mark 2 to {MOST} runs to compare; there {count} {len(paths)}")
            return
        ordered = sorted((self._known[path] for path in paths), key=SORTS["newest"], reverse=True)
        self.app.push_screen(CompareScreen([listed.run for listed in ordered]))

    @work(group="resume", exclusive=True)
    async def action_resume(self) -> None:
        """Go on with the run; ask for more epochs where it is complete."""
        if (listed := self._readable()) is None or listed.config is None:
            return
        if listed.alive or listed.entry.state == "diverged":
            self._warn(DIVERGES_AGAIN if not listed.alive else f"{listed.entry.name} is running: enter watches it")
            return
        flags = {}
        done = listed.entry.epochs_done
        if listed.entry.state == "completed" and done >= listed.config.train.epochs:
            question = f"{listed.entry.name} has trained {done} epochs. How many should it be in all?"
            epochs = await self.app.push_screen_wait(
                AskValue("Train further", question, str(2 * done), lambda text: _epochs_problem(text, done))
            )
            if epochs is None:
                return
            flags["train.epochs"] = ("epochs", int(epochs))
        try:
            config = await asyncio.to_thread(config_to_resume, listed.run, flags)
        except (UserError, OSError) as error:
            self._warn(str(error))
        else:
            self.post_message(StartRun(config, resume=listed.run))

    @work(group="remove", exclusive=True)
    async def action_remove(self) -> None:
        """Delete the run's folder, after asking."""
        if (listed := self.current) is None:
            return
        name = listed.entry.name
        if listed.alive:
            self._warn(f"{name} is running; stop it before it is removed")
            return
        if listed.run.path.is_symlink():
            self._warn(f"{name} is a link to a folder elsewhere; remove it there")
            return
        size = words.size(await asyncio.to_thread(_bytes_in, listed.run.path))
        text = f"{name}\n{listed.entry.epochs_done} trained epochs, checkpoints, events and log: {size} on disk"
        choices = (
            Choice("keep", "Keep it", "Nothing changes."),
            Choice("remove", "Remove it", "Deletes its folder for good.", "error"),
        )
        if await self.app.push_screen_wait(Confirm("Remove this run?", text, choices, "keep")) != "remove":
            return
        try:
            await asyncio.to_thread(listed.run.remove)
        except UserError as error:
            self._warn(str(error))
        else:
            self.notify(f"{name} is removed", markup=False)
        if self._watch:
            self._watch.look()

    def _readable(self) -> Listed | None:
        """Return the run under the cursor if it could be read; else say why not."""
        listed = self.current
        if listed is not None and listed.summary is None:
            self._warn(f"{listed.entry.name} is damaged: {listed.reason}")
            return None
        return listed

    def _warn(self, text: str) -> None:
        self.notify(one_line(text), severity="warning", markup=False)


def _epochs_problem(text: str, done: int) -> str:
    """Say what is wrong with a number of epochs in all."""
    if text.isascii() and text.isdecimal() and done < int(text) <= 100_000:
        return ""
    return f"allowed: a whole number from {done + 1} to 100,000"


def _bytes_in(folder: Path) -> int:
    """Return how many bytes the files in ``folder`` have; those that cannot be seen count nothing."""
    total = 0
    with contextlib.suppress(OSError):
        for path in folder.rglob("*"):
            with contextlib.suppress(OSError):
                total += path.lstat().st_size
    return total
