"""Keeps what is set up as a preset of one's own."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Input, Static

from engine import presets
from engine.config import RunConfig
from engine.config_file import build_config
from engine.errors import ConfigError, WorldError
from resnet_tui.setup.problems import in_a_form
from resnet_tui.widgets.dialog import Dialog


class SavePreset(Dialog[str]):
    """Asks for name and description, writes the preset, and returns its name; None: nothing was written."""

    DEFAULT_CSS = """
    SavePreset #problem { color: $text-error; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "app.focus_next", "next", show=False, id="save_preset.next"),
        Binding("up", "app.focus_previous", "previous", show=False, id="save_preset.previous"),
    ]

    def __init__(self, config: RunConfig) -> None:
        """Get ready to keep ``config``."""
        super().__init__("Save as a preset", "enter saves · escape cancels")
        self._config = config
        self._replace = ""
        """The name that may be written over: its question was answered."""

    def compose_inside(self) -> ComposeResult:
        """Lay out two fields and what is wrong."""
        yield Static(Content("name"))
        yield Input(self._config.name, id="name", compact=True)
        yield Static(Content("what it is for"))
        yield Input(placeholder="may stay empty", id="comment", compact=True)
        yield Static(id="problem")

    def on_input_changed(self, event: Input.Changed) -> None:
        """Say at once what is wrong with the name."""
        if event.input.id == "name":
            self._replace = ""
            self._say(_problem(self._config, event.value.strip()))

    def on_input_submitted(self) -> None:
        """Write it, after asking where that would take the place of another."""
        name = self.query_one("#name", Input).value.strip()
        comment = self.query_one("#comment", Input).value.strip()
        if problem := _problem(self._config, name):
            self._say(problem)
            return
        if name in presets.user_names() and self._replace != name:
            self._replace = name
            self._say(f"You have a preset {name!r} already. Enter once more replaces it.")
            return
        try:
            presets.save(name, self._config, comment, replace=self._replace == name)
        except (ConfigError, WorldError) as error:
            self._say(str(error))
        else:
            self.dismiss(name)

    def _say(self, text: str) -> None:
        self.query_one("#problem", Static).update(Content(text))


def _problem(config: RunConfig, name: str) -> str:
    """Return why a preset cannot have this name; empty: it can."""
    try:
        build_config(config.model_dump(), {"name": ("name", name)})
    except ConfigError as error:
        return in_a_form(str(error).removeprefix("name: "))
    if name.casefold() in {shipped.casefold() for shipped in presets.shipped_names()}:
        return f"{name} ships with the program and stays as it is; choose another name."
    return ""
