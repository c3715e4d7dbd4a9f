"""The set-up screen: from keys and mouse to the run that is asked for."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from textual.app import App
from textual.pilot import Pilot
from tui_support import dashboard, until

from engine import presets
from engine.config import RunConfig
from engine.config_file import build_config
from engine.errors import UserError
from engine.events import Progress
from engine.helper_answers import answer
from engine.helper_messages import HelperFailed, MachineWanted, PreviewWanted, Reply, Request
from resnet_tui.messages import StartRun
from resnet_tui.screens.help import Help
from resnet_tui.screens.save_preset import SavePreset
from resnet_tui.screens.setup import SetupScreen
from resnet_tui.setup.fields import FIELDS
from resnet_tui.setup.form import Form
from resnet_tui.setup.pick import Pick
from resnet_tui.setup.preview import PreviewPane
from resnet_tui.setup.shapes_screen import ShapesScreen
from resnet_tui.widgets.chart import Chart


class Answers:
    """The helper without its process."""

    def __init__(self, on_reply: Callable[[Reply], None]) -> None:
        self._on_reply, self._id = on_reply, 0
        self.closed = False

    def start(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True

    def preview(self, config: RunConfig) -> int:
        return self._ask(lambda number: PreviewWanted(id=number, config=config))

    def machine(self) -> int:
        return self._ask(lambda number: MachineWanted(id=number))

    def _ask(self, request: Callable[[int], Request]) -> int:
        self._id += 1
        try:
            self._on_reply(answer(request(self._id)))
        except UserError as error:
            self._on_reply(HelperFailed(id=self._id, message=str(error)))
        return self._id


class Host(App[None]):
    def __init__(self, draft: RunConfig | None = None, make_helper: Callable[..., Any] = Answers) -> None:
        super().__init__()
        self.setup = SetupScreen(Path("runs"), draft, make_helper)
        self.started: list[RunConfig] = []

    def on_mount(self) -> None:
        self.push_screen(self.setup)

    def on_start_run(self, message: StartRun) -> None:
        self.started.append(message.config)

    @property
    def form(self) -> Form:
        return self.setup.query_one(Form)


Body = Callable[[Host, "Pilot[None]"], Coroutine[Any, Any, None]]


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESNET_TUI_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def run(body: Body, size: tuple[int, int] = (80, 24), **options: Any) -> None:
    async def main() -> None:
        app = Host(**options)
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda: "parameters" in facts(app) or "params" in facts(app) or size[1] < 24)
            await body(app, pilot)

    asyncio.run(main())


def facts(app: Host) -> str:
    return str(app.setup.query_one("#facts").render())


async def go_to(app: Host, pilot: "Pilot[None]", key: str) -> None:
    """Move down to a setting, as a person does."""
    await pilot.press("ctrl+home")
    for _ in range(80):
        if app.form.field is not None and app.form.field.key == key:
            return
        await pilot.press("down")
    raise AssertionError(f"{key} is not in the form")


def lines(app: Host) -> list[str]:
    """What stands in the form, scrolled away or not."""
    form = app.form
    top = form.scroll_offset.y
    return [form.render_line(y - top).text.rstrip() for y in range(form.virtual_size.height)]


def notes(app: Host) -> str:
    """What the person was told in passing."""
    return " ".join(note.message for note in app._notifications)


def told(app: Host) -> str:
    """The whole form as running text."""
    return " ".join(" ".join(lines(app)).split())


def test_resnet_56_on_digits_for_five_epochs_is_a_few_keys() -> None:
    async def body(app: Host, pilot: "Pilot[None]") -> None:
        await pilot.press("down", "down", "5", "6")
        await go_to(app, pilot, "train.epochs")
        await pilot.press("5", "f5")
        await until(pilot, lambda: app.started)

        flags = {"model.depth": ("--depth", "56"), "train.epochs": ("--epochs", "5")}
        wanted = build_config(_of("quickstart"), flags)
        assert app.started == [wanted.model_copy(update={"name": "resnet56-digits"})]
        await until(pilot, lambda: "853,018" in facts(app) and "23 an epoch, 115 in all" in facts(app))

    run(body)


def _of(preset: str) -> dict[str, Any]:
    return presets.load(preset)[0]


def test_a_preset_is_found_by_typing() -> None:
    async def body(app: Host, pilot: "Pilot[None]") -> None:
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Pick))
        await pilot.press(*"akamaster", "enter")
        await until(pilot, lambda: app.setup.draft.origin == "resnet20-cifar10-akamaster")
        assert any("after the recipe" in line or "ResNet-20 on CIFAR-10" in line for line in lines(app))
        await until(pilot, lambda: "91.25 %" in facts(app))  # what He et al. published

    run(body, size=(120, 40))


def test_a_depth_that_there_is_not_is_marked_and_keeps_the_run_from_starting() -> None:
    async def body(app: Host, pilot: "Pilot[None]") -> None:
        await go_to(app, pilot, "model.depth")
        await pilot.press("right")
        assert app.setup.draft.text("model.depth") == "26"
        await pilot.press("left", "left")
        assert app.setup.draft.text("model.depth") == "14"
        await pilot.press("5", "7")
        at = next(i for i, line in enumerate(lines(app)) if "depth" in line and "57" in line)
        assert "✗" in lines(app)[at]
        assert "56 and 62" in " ".join(lines(app)[at + 1 : at + 4])

        await go_to(app, pilot, "train.seed")
        await pilot.press("f5")
        await until(pilot, lambda: app.form.field is not None and app.form.field.key == "model.depth")
        assert app.started == []
        await pilot.press("5", "6", "ctrl+g")
        await until(pilot, lambda: app.started)

    run(body)


def test_fields_follow_the_architecture() -> None:
    async def body(app: Host, pilot: "Pilot[None]") -> None:
        assert not any("growth" in line for line in lines(app))
        await go_to(app, pilot, "model.arch")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Pick))
        await pilot.press(*"dense", "enter")
        await until(pilot, lambda: any("growth" in line for line in lines(app)))
        assert not any("shortcut" in line for line in lines(app))
        await until(pilot, lambda: "DenseNet-40" in facts(app))
        await pilot.press("ctrl+r")
        await until(pilot, lambda: "ResNet-20" in facts(app))
        await pilot.press("ctrl+r")  # and back again
        await until(pilot, lambda: "DenseNet-40" in facts(app))

    run(body)


def test_rules_across_fields_and_of_the_data_are_told_at_an_entry() -> None:
    async def body(app: Host, pilot: "Pilot[None]") -> None:
        await go_to(app, pilot, "schedule.warmup_epochs")
        await pilot.press(*"12")
        assert "must be below" in told(app)
        await pilot.press("backspace")
        await go_to(app, pilot, "data.val_size")
        await pilot.press(*"1430")
        await until(pilot, lambda: "allowed: 0 to 1427" in told(app))
        await pilot.press("f5")
        await until(pilot, lambda: app.form.field is not None and app.form.field.key == "data.val_size")
        assert app.started == []

    run(body)


def test_a_dataset_that_is_absent_offers_its_download() -> None:
    async def body(app: Host, pilot: "Pilot[None]") -> None:
        assert "d" not in app.screen.active_bindings
        await go_to(app, pilot, "data.dataset")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Pick))
        await pilot.press(*"cifar10", "enter")
        await until(pilot, lambda: "absent" in facts(app))
        await until(pilot, lambda: "d" in app.screen.active_bindings)
        assert "d downloads it" in told(app)
        await go_to(app, pilot, "train.seed")
        await pilot.press("f5")
        await until(pilot, lambda: "d downloads it, or give the folder of a copy" in notes(app))
        assert app.started == []
        assert app.form.field is not None
        assert app.form.field.key == "data.dataset"  # where d is a key, and no letter to type
        await pilot.press("left", "left")
        assert app.setup.draft.text("data.dataset") == "digits"
        await until(pilot, lambda: "d" not in app.screen.active_bindings)

    run(body)


@pytest.mark.parametrize("folder", [None, Path("elsewhere")])
def test_an_absent_dataset_is_noticed_before_the_helper_is_warm(folder: Path | None, tmp_path: Path) -> None:
    wanted = build_config(_of("resnet20-cifar10"), {"data.dir": ("", folder and tmp_path / folder)})

    class Cold(Answers):
        def _ask(self, request: Callable[[int], Request]) -> int:
            self._id += 1
            return self._id

    async def main() -> None:
        app = Host(wanted, Cold)
        async with app.run_test() as pilot:
            await pilot.press("f5")
            what = "give the folder of a copy" if folder is None else "give another folder"
            await until(pilot, lambda: "d downloads it" in notes(app) and what in notes(app))
            assert app.started == []
            await pilot.press("ctrl+r", "ctrl+home", "down", "down")
            app.form.set_value(FIELDS["data.dataset"], "digits")
            await pilot.press("f5")
            await until(pilot, lambda: app.started)

    asyncio.run(main())


class Fetched:
    """A download without a network, driven by the test."""

    made: "list[Fetched]" = []  # noqa: RUF012 (one list for the test)

    def __init__(self, dataset: str, folder: Path | None, on_progress: Any, on_end: Callable[[str], None]) -> None:
        self.dataset, self.folder, self.on_progress, self.on_end = dataset, folder, on_progress, on_end
        self.made.append(self)

    def start(self) -> None:
        pass

    def cancel(self) -> None:
        self.on_end("cancelled")


def test_a_download_shows_how_far_it_is_and_can_be_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("resnet_tui.setup.download_bar.Download", Fetched)
    Fetched.made.clear()
    wanted = build_config(_of("resnet20-cifar10"), {"data.dir": ("", tmp_path)})

    async def body(app: Host, pilot: "Pilot[None]") -> None:
        def bar() -> str:
            return str(app.setup.query_one("DownloadBar Static").render())

        await until(pilot, lambda: "d" in app.screen.active_bindings)
        await pilot.press("d")
        await until(pilot, lambda: "starting" in bar())
        (download,) = Fetched.made
        assert (download.dataset, download.folder) == ("cifar10", tmp_path)
        download.on_progress(Progress(activity="downloading", done=42, total=100, unit="bytes"))
        await until(pilot, lambda: "42 %" in bar() and "downloading" in bar())
        await pilot.press("f5")
        await until(pilot, lambda: "start when it is downloaded" in notes(app))
        assert app.started == []
        await pilot.press("d")
        await until(pilot, lambda: "not here yet" in bar())
        await pilot.click("DownloadBar Button")
        await until(pilot, lambda: len(Fetched.made) == 2)

    run(body, draft=wanted)


def test_what_is_set_up_can_be_kept_as_a_preset() -> None:
    async def body(app: Host, pilot: "Pilot[None]") -> None:
        await go_to(app, pilot, "model.depth")
        await pilot.press("3", "2", "ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, SavePreset))

        def said() -> str:
            return str(app.screen.query_one("#problem").render())

        await pilot.press("ctrl+u", *"quickstart", "enter")
        await until(pilot, lambda: "ships with the program" in said())
        await pilot.press("ctrl+u", *"../up", "enter")
        await until(pilot, lambda: "letters, digits" in said())
        await pilot.press("ctrl+u", *"mine", "enter")
        await until(pilot, lambda: app.setup.draft.origin == "mine")
        assert presets.user_names() == ["mine"]

        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, SavePreset))
        await pilot.press("enter")
        await until(pilot, lambda: "replaces it" in said())
        await pilot.press("escape")
        await pilot.press("ctrl+home", "enter")
        await until(pilot, lambda: isinstance(app.screen, Pick))
        await pilot.press(*"yours", "enter")
        await until(pilot, lambda: app.setup.draft.origin == "mine" and app.screen is app.setup)
        assert app.setup.draft.changed == ()

    run(body)


def test_the_mouse_chooses_types_and_starts() -> None:
    async def body(app: Host, pilot: "Pilot[None]") -> None:
        row = next(i for i, line in enumerate(lines(app)) if " block " in line)
        await pilot.click(Form, offset=(25, row))  # the mark after “basic”
        assert app.setup.draft.text("model.block") == "bottleneck"
        await pilot.click(Form, offset=(21, row))
        await until(pilot, lambda: isinstance(app.screen, Pick))
        await pilot.press("escape")
        row = next(i for i, line in enumerate(lines(app)) if "epochs" in line)
        await pilot.click(Form, offset=(20, row))
        await pilot.press("end", "backspace", "backspace", "7")
        assert app.setup.draft.value("train.epochs") == "7"
        await pilot.click("#start")
        await until(pilot, lambda: app.started)
        assert app.started[0].train.epochs == 7

    run(body)


def test_every_operation_of_the_network_can_be_seen() -> None:
    async def body(app: Host, pilot: "Pilot[None]") -> None:
        await pilot.press("v")
        await until(pilot, lambda: isinstance(app.screen, ShapesScreen))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.setup)

    run(body)


def test_what_was_started_last_can_be_begun_with() -> None:
    last = build_config(_of("quickstart"), {"data.dataset": ("", "synthetic"), "train.epochs": ("", 3)})

    async def body(app: Host, pilot: "Pilot[None]") -> None:
        assert app.setup.draft.origin == "last used"
        await pilot.press("f5")
        await until(pilot, lambda: app.started == [last])

    run(body, draft=last)


@pytest.mark.parametrize("size", [(40, 12), (20, 5), (200, 60), (64, 9)])
def test_no_size_breaks_it(size: tuple[int, int]) -> None:
    async def body(app: Host, pilot: "Pilot[None]") -> None:
        await until(pilot, lambda: app.setup.query(Chart))
        await go_to(app, pilot, "model.depth")
        await pilot.press("5", "7", "f5", "ctrl+end", "enter", "ctrl+end", "tab", "shift+tab", "ctrl+home", "enter")
        await until(pilot, lambda: isinstance(app.screen, Pick))
        await pilot.press("z", "z", "enter", "escape")
        await pilot.resize_terminal(100, 30)
        await pilot.resize_terminal(*size)
        await pilot.pause()

    run(body, size=size)


def test_the_real_helper_answers_and_ends_with_the_screen() -> None:
    async def main() -> None:
        from resnet_tui.setup.helper import Helper

        app = Host(make_helper=Helper)
        async with app.run_test(size=(120, 40)) as pilot:
            await until(pilot, lambda: "269,722 parameters" in facts(app))
            await until(pilot, lambda: "free on" in facts(app))
            await go_to(app, pilot, "model.depth")
            await pilot.press("right")
            await until(
                pilot, lambda: "ResNet-26" in facts(app) and not app.setup.query_one(PreviewPane).has_class("-stale")
            )
            chart = app.setup.query_one(Chart)
            assert max(chart.plot.lines[0].highs) == pytest.approx(0.1, rel=1e-3)

    asyncio.run(main())


def shown_keys(app: Host) -> dict[str, str]:
    """What the footer says of each key."""
    return {key: active.binding.description for key, active in app.screen.active_bindings.items()}


def test_the_footer_says_what_enter_does_here_and_letters_take_nothing_back() -> None:
    async def body(app: Host, pilot: "Pilot[None]") -> None:
        for key, what in [
            ("model.arch", "list"),
            ("model.depth", "list"),
            ("model.preactivation", "on/off"),
            ("train.epochs", "next"),
        ]:
            await go_to(app, pilot, key)
            assert shown_keys(app)["enter"] == what, key
        await pilot.press("7", "enter")
        assert app.form.field is not None
        assert app.form.field.key == "train.batch_size"
        await go_to(app, pilot, "model.preactivation")
        await pilot.press("enter", "r")
        assert set(app.setup.draft.changed) == {"model.preactivation", "train.epochs"}
        await pilot.press("ctrl+end")
        assert shown_keys(app)["enter"] == "open/close"

    run(body)


def test_tab_goes_to_the_preview_only_where_it_scrolls_and_that_is_seen() -> None:
    async def body(app: Host, pilot: "Pilot[None]") -> None:
        pane = app.setup.query_one(PreviewPane)
        await until(pilot, lambda: pane.max_scroll_y > 0)
        before = app.setup.query_one("#facts").render_line(0)
        await pilot.press("tab")
        await until(pilot, lambda: app.focused is pane)
        await until(pilot, lambda: app.setup.query_one("#facts").render_line(0) != before)
        await pilot.press("shift+tab")
        await until(pilot, lambda: app.setup.query_one("#facts").render_line(0) == before)
        await pilot.resize_terminal(120, 50)
        await until(pilot, lambda: pane.max_scroll_y == 0)
        await pilot.press("tab")
        await until(pilot, lambda: app.focused is not app.form and app.focused is not pane)

    run(body, size=(80, 16))


def test_f1_opens_and_closes_the_help(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with dashboard(tmp_path, monkeypatch) as pilot:
            await pilot.press("f1")
            await until(pilot, lambda: isinstance(pilot.app.screen, Help))
            await pilot.press("f1")
            await until(pilot, lambda: isinstance(pilot.app.screen, SetupScreen))

    asyncio.run(test())
