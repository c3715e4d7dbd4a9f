"""Sets up a run: a form of all settings, and beside it what the run would be."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Button, Static

from engine.config import RunConfig
from engine.helper_messages import DataFacts, HelperFailed, Machine, Preview, Reply
from engine.text import one_line
from resnet_tui.messages import RunLikely, post
from resnet_tui.screens.setup_actions import BRIEF, SetupActions
from resnet_tui.setup.choices import Choices, first_line, memory_words
from resnet_tui.setup.download_bar import DownloadBar
from resnet_tui.setup.draft import Draft
from resnet_tui.setup.fields import PRESET
from resnet_tui.setup.form import Form
from resnet_tui.setup.helper import Helper
from resnet_tui.setup.measured import Known, Measured
from resnet_tui.setup.preview import PreviewPane
from resnet_tui.setup.preview_text import problems
from resnet_tui.setup.problems import of_data
from resnet_tui.setup.waiting import Waiting
from resnet_tui.widgets.keys import Keys

QUICKSTART = "quickstart"
_TYPING = 0.05
"""Seconds without another change before the helper is asked."""


class Asks(Protocol):
    """What this screen wants of a `Helper`."""

    def start(self) -> None:
        """Warm up."""

    def preview(self, config: RunConfig) -> int:
        """Ask what a run would be; return the question's number."""

    def machine(self) -> int:
        """Ask what devices there are."""

    def close(self) -> None:
        """End."""


class Replied(Message):
    """The helper answered."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        super().__init__()


class SetupScreen(SetupActions):
    """Edits one run; asks the app to start it by a message."""

    CSS_PATH = "setup.tcss"
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012 (an instance variable in the base class's eyes)
        (0, "-narrow"),
        (64, "-usual"),
        (110, "-broad"),
        (170, "-wide"),
    ]
    VERTICAL_BREAKPOINTS = [(0, "-flat"), (10, "-low"), (30, "-high")]  # noqa: RUF012

    def __init__(
        self,
        runs: Path,
        draft: RunConfig | None = None,
        make_helper: Callable[[Callable[[Reply], None]], Asks] = Helper,
    ) -> None:
        """Set up a run in the folder ``runs``.

        Args:
            runs: where weights to begin with are looked for by a run's name.
            draft: what to begin with; None: the quickstart preset.
            make_helper: makes what answers; gets a callback that may be called from any thread.
        """
        super().__init__()
        self._runs = runs
        self._choices = Choices(None if draft is None else draft.model_dump(exclude_none=True))
        first = Draft.from_preset(QUICKSTART) if draft is None else Draft.from_config(draft)
        self._form = Form(first, self._choices)
        self._helper = make_helper(self._reply)
        self._wanted = 0
        """Number of the newest question."""
        self._asked: RunConfig | None = None
        """What it was about."""
        self._preview: Preview | None = None
        self._failed = False
        self._remarks: dict[str, str] = {}
        self._measured = Measured(runs)
        self._known = Known()
        self._described = ("", "")
        """A preset, and the first line of what it says of itself."""
        self._useful: tuple[str, str, bool, bool] | None = None
        self._ask_timer: Timer | None = None

    def compose(self) -> ComposeResult:
        """Lay out title, form, preview, and help for the setting under the cursor."""
        with Horizontal(id="top"):
            yield Static(id="title")
            yield Waiting(id="state")
            yield Button("▶ Start F5", id="start", variant="success", compact=True)
        with Horizontal(id="body"):
            yield self._form
            yield PreviewPane(id="preview")
        yield Static(id="help")
        yield Keys()

    def on_mount(self) -> None:
        """Show the form; everything that takes time comes after the first frame."""
        self._form.focus()
        self._show()
        self.call_after_refresh(self._begin)

    @work
    async def _begin(self) -> None:
        self._helper.start()
        self._helper.machine()
        self._ask()
        await asyncio.to_thread(_load_curves)
        await self.query_one(PreviewPane).add_curve()

    def on_unmount(self) -> None:
        """Leave no process behind."""
        self._helper.close()

    def on_screen_resume(self) -> None:
        """Look again: data, presets and free memory may be others now."""
        if self._wanted:
            self._helper.machine()
            self._ask()

    # What is seen ----------------------------------------------------------------------------------------------

    def _show(self) -> None:
        """Show title, remarks and what needs no helper."""
        draft = self.draft
        changed = len(draft.changed)
        parts = [("New run ", "$text-muted"), (one_line(draft.name), "bold")]
        if changed:
            parts.append((f"  {changed} changed, ^r resets", "$text-accent"))
        if self._fresh or self._failed:  # else what was said stays until there is an answer, so that nothing flickers
            self._remarks = self._problems()
        if self._described[0] != draft.origin:
            self._described = draft.origin, first_line(draft.origin)
        self._form.set_remarks(self._remarks, {PRESET: self._described[1]})
        if wrong := len(self._form.problems):
            parts.append((f"  ✗ {wrong} to mend", "$text-error"))
        self.query_one("#title", Static).update(Content.assemble(*parts), layout=False)
        if draft.config is not None:
            self.query_one(PreviewPane).show_config(draft.config)
        self._help()
        self._refresh_keys()

    @property
    def _fresh(self) -> bool:
        """Whether the answer is about the run as it is now."""
        answered = self._preview is not None and self._preview.id == self._wanted
        return answered and not self._failed and self._asked == self.draft.config

    def _problems(self) -> dict[str, str]:
        """Return what data and machine say against the run, where they were asked about it as it is now."""
        if not self._fresh or self._preview is None:
            return {}
        return problems(self._preview) | self._missing(self.draft.shown, self._preview.data)

    def _missing(self, config: RunConfig, data: DataFacts) -> dict[str, str]:
        return of_data(config.data, data, on_its_way=self.query_one(DownloadBar).running)

    def _help(self) -> None:
        field = self._form.field
        text = "settings that most runs leave as they are" if field is None else field.help(self.draft.value)
        if field is not None and field.key == "train.device" and (device := self._choices.device(self.draft)):
            text = f"{memory_words(device)}; {text}"
        self.query_one("#help", Static).update(Content(text), layout=False)

    @on(Form.Moved)
    def _moved(self) -> None:
        self._help()
        self._refresh_keys()

    @on(Form.Edited)
    def _edited(self) -> None:
        if self._ask_timer is not None:
            self._ask_timer.stop()
        self._ask_timer = self.set_timer(_TYPING, self._ask)
        self._show()

    @on(Waiting.Changed)
    def _waits(self, message: Waiting.Changed) -> None:
        self.query_one(PreviewPane).set_class(message.late or self.draft.config is None, "-stale")

    def _refresh_keys(self) -> None:
        """Let the footer show other keys where others work now; drawing it anew at every key is slow."""
        form = self._form
        useful = (form.typing, form.opens, self.query_one(DownloadBar).useful, self._preview is not None)
        if useful != self._useful:
            self._useful = useful
            self.refresh_bindings()

    # The helper ------------------------------------------------------------------------------------------------

    def _ask(self) -> None:
        """Ask what the run would be; while something is wrong with it, the old answer stays, and looks old."""
        if (config := self.draft.config) is not None:
            self._failed, self._asked = False, config
            self._wanted = self._helper.preview(config)
            first = self._preview is None
            self.query_one(Waiting).wait_for("warming up…" if first else "looking…", at_once=first)
        else:
            self.query_one(Waiting).done()

    def _reply(self, reply: Reply) -> None:
        """Pass on an answer from the helper's thread."""
        post(self, Replied(reply))

    @on(Replied)
    def _replied(self, message: Replied) -> None:
        match message.reply:
            case Machine(devices=devices):
                self._choices.devices = devices
                self._look_up()
            case Preview() as preview if preview.id == self._wanted:
                self._preview = preview
                self.query_one(Waiting).done()
                self._look_up()
                self.post_message(RunLikely())  # not before: the preview must not wait for it
            case HelperFailed(id=number, message=text) if number in {0, self._wanted}:
                self._failed = True
                self.query_one(Waiting).done()
                self.query_one(PreviewPane).show_failure(text)
        self._show_preview()

    def _show_preview(self) -> None:
        if self._preview is not None and not self._failed:
            pane = self.query_one(PreviewPane)
            pane.show_preview(self._preview, self._choices.device(self.draft), self._known)
        self._offer_download()
        self._show()

    def _offer_download(self) -> None:
        preview, data = self._preview, self.draft.shown.data
        possible = preview is not None and self._fresh and preview.data.can_download
        self.query_one(DownloadBar).offer(data.dataset if possible else None, data.dir)

    @on(DownloadBar.Ended)
    def _downloaded(self, message: DownloadBar.Ended) -> None:
        if message.problem:
            why = message.problem.partition("\n")[0]  # what else there is to do is told for a command line
            self.notify(f"{why}. A copy can be used as well: give its folder.", severity="warning", markup=False)
        else:
            self.notify("The dataset is here and complete.", timeout=BRIEF, markup=False)
        self._ask()

    @work(exclusive=True, group="look up")
    async def _look_up(self) -> None:
        config = self._asked
        if config is None:
            return
        device = self._choices.device(self.draft)
        known = await asyncio.to_thread(self._measured.known, config, device.description if device else "")
        if known != self._known:
            self._known = known
            self._show_preview()

    # Keys ---------------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """Offer what makes sense now."""
        if action == "download":
            return self.query_one(DownloadBar).useful
        if action == "shapes":
            return True if self._preview is not None and self._preview.table.rows else None
        return True


def _load_curves() -> None:
    import plotext  # noqa: F401 - what the chart imports when it draws, which takes too long for a frame
