"""What the keys of the set-up screen do: start the run, find a learning rate, save a preset, take changes back."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Button

from engine.config import RunConfig
from engine.helper_messages import DataFacts, Preview
from resnet_tui.messages import StartRun
from resnet_tui.screens.save_preset import SavePreset
from resnet_tui.setup.choices import Choices
from resnet_tui.setup.download_bar import DownloadBar
from resnet_tui.setup.draft import Draft
from resnet_tui.setup.fields import FIELDS, PRESET
from resnet_tui.setup.form import Form
from resnet_tui.setup.pick import Pick

BRIEF = 2.5
"""Seconds for which something is told that a person need not act upon: it covers what is below."""
_RATE = "optim.lr"


class SetupActions(Screen[None]):
    """The acting half of the set-up screen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f5,ctrl+g", "start", "start", id="setup.start", tooltip="start the run", key_display="F5"),
        Binding("ctrl+s", "save", "save", id="setup.save", tooltip="save as a preset"),
        Binding(
            "ctrl+r",
            "reset",
            "reset",
            id="setup.reset",
            show=False,
            tooltip="take back every change, or bring it back",
        ),
        Binding("v", "shapes", "shapes", id="setup.shapes", tooltip="show the shapes of all operations"),
        Binding("f", "find_rate", "find rate", id="setup.find_rate", tooltip="find a learning rate for this run"),
        Binding("d", "download", "download", id="setup.download", tooltip="download the dataset, or cancel that"),
    ]

    _runs: Path
    _form: Form
    _choices: Choices
    _preview: Preview | None
    _failed: bool
    _undo: Draft | None = None

    @property
    def draft(self) -> Draft:
        """What is edited."""
        return self._form.draft

    @property
    def _fresh(self) -> bool:
        """Whether what the helper answered is about the run as it is now."""
        raise NotImplementedError

    def _problems(self) -> dict[str, str]:
        """Return what data and machine say against the run, where they were asked about it as it is now."""
        raise NotImplementedError

    def _missing(self, config: RunConfig, data: DataFacts) -> dict[str, str]:
        """Return what to do about data that is not there."""
        raise NotImplementedError

    def _show(self) -> None:
        """Show title, remarks and what needs no helper."""
        raise NotImplementedError

    @on(Button.Pressed, "#start")
    @work(exclusive=True, group="start")
    async def action_start(self) -> None:
        """Start the run, or go to the first setting that is wrong."""
        if (run := await self._checked("not started")) is None:
            return
        if self._failed and self._preview is None:
            self.notify("the preview failed; starting all the same", severity="warning", timeout=BRIEF)
        self.post_message(StartRun(run))

    @work(exclusive=True, group="start")
    async def action_find_rate(self) -> None:
        """Try rising learning rates, and take the one that is suggested if the person says so."""
        from resnet_tui.screens.find_rate import FindRate

        if (run := await self._checked("not tried")) is None:
            return
        rate = await self.app.push_screen_wait(FindRate(run, self._runs))
        if rate is not None:
            self._form.set_value(FIELDS[_RATE], rate)
            self._form.go_to(_RATE)

    async def _checked(self, otherwise: str) -> RunConfig | None:
        """Return the run as it is now; where something is wrong with it, go there and say so."""
        config, found = self.draft.config, self._problems() | self.draft.problems
        if config is None:
            self._refuse(found, otherwise)
            return None
        run = self.draft.result(self._runs)
        if not self._fresh:
            # The helper may be warming up still: what is missing is found without it.
            found |= self._missing(config, await asyncio.to_thread(_look_at, config))
        if found:
            self._refuse(found, otherwise)
            return None
        return run

    def _refuse(self, found: Mapping[str, str], title: str) -> None:
        """Go to the first setting that is wrong, and say why."""
        first = next((key for key in FIELDS if key in found), PRESET)
        self._form.focus()
        self._form.go_to(first)
        many = f"; {len(found) - 1} more" if len(found) > 1 else ""
        self.notify(
            f"{FIELDS[first].label}: {found.get(first, next(iter(found.values())))}{many}",
            title=title,
            severity="error",
            markup=False,
        )

    @on(Form.Asked)
    @work(exclusive=True, group="pick")
    async def _pick(self, message: Form.Asked) -> None:
        field, draft = message.field, self.draft
        options = await asyncio.to_thread(lambda: list(self._choices.options(draft, field)))
        about = "" if field.key in {PRESET, "model.arch", "data.dataset"} else field.help(draft.value)
        pick = Pick(field.label, options, self._choices.now(draft, field), about)
        chosen = await self.app.push_screen_wait(pick)
        if chosen is not None:
            self._form.set_value(field, chosen.value)

    @work(exclusive=True, group="save")
    async def action_save(self) -> None:
        """Keep the settings as a preset of one's own."""
        config = self.draft.config
        if config is None:
            self.notify("Mend what is marked first.", severity="error")
            return
        named = config.model_copy(update={"name": self.draft.name})
        name = await self.app.push_screen_wait(SavePreset(named))
        if name is not None:
            self._form.take(Draft.from_preset(name))
            self.notify(f"saved as the preset {name}", timeout=BRIEF, markup=False)

    def action_download(self) -> None:
        """Get the dataset; while that goes on, end it."""
        self.query_one(DownloadBar).toggle()
        self._show()

    def action_reset(self) -> None:
        """Take back every change; where that was done just now, bring them back."""
        draft = self.draft
        if draft.changed:
            self._undo = draft
            self._form.take(draft.reset())
            self.notify("every change is taken back; ^r once more brings them back", timeout=BRIEF)
        elif self._undo is not None and self._undo.origin == draft.origin:
            self._form.take(self._undo)

    def action_shapes(self) -> None:
        """Show every operation of the network."""
        from resnet_tui.setup.shapes_screen import ShapesScreen

        if self._preview is not None:
            self.app.push_screen(ShapesScreen(self.draft.shown.model.title, self._preview.table))


def _look_at(config: RunConfig) -> DataFacts:
    from engine.data.facts import facts

    return facts(config.data)
