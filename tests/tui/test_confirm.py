"""The questions: what each key and click answers, in every size."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from textual.app import App
from textual.binding import ActiveBinding, Binding
from textual.pilot import Pilot
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from tui_support import text_of, until

from resnet_tui.screens.ask_value import AskValue
from resnet_tui.screens.confirm import Choice, Confirm
from resnet_tui.screens.help import Help

HOSTILE = "[/red] [@click=app.exit]x[/]"
CHOICES = (
    Choice("leave", "Leave it running", "It trains on; come back with watch.", "primary"),
    Choice("stop", f"Stop it {HOSTILE}", f"It saves a checkpoint {HOSTILE}.", "error"),
    Choice("stay", "Stay", "Nothing changes."),
)


class Asking(App[None]):
    """Shows one question."""

    def __init__(self, question: ModalScreen[str | None]) -> None:
        super().__init__()
        self.question, self.answers = question, list[str | None]()

    def on_mount(self) -> None:
        self.push_screen(self.question, self.answers.append)


def answers(
    question: ModalScreen[str | None],
    drive: Callable[[Pilot[None]], Awaitable[object]],
    size: tuple[int, int] = (80, 24),
) -> list[str | None]:
    """Ask, let ``drive`` answer, and return what came back."""

    async def run() -> list[str | None]:
        app = Asking(question)
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await drive(pilot)
            await pilot.pause()
        return app.answers

    return asyncio.run(run())


def confirm(default: str | None = None) -> Confirm:
    return Confirm(f"Quit {HOSTILE}", f"It is training {HOSTILE}\nepoch 3", CHOICES, default)


@pytest.mark.parametrize(
    ("keys", "answer"),
    [
        (["enter"], "leave"),
        (["down", "enter"], "stop"),
        (["up", "enter"], "stay"),
        (["l"], "leave"),
        (["s"], "stop"),
        (["S"], "stop"),
        (["t"], "stay"),
        (["escape"], None),
    ],
)
@pytest.mark.parametrize("size", [(80, 24), (40, 12)])
def test_keys_answer(keys: list[str], answer: str | None, size: tuple[int, int]) -> None:
    assert answers(confirm(), lambda pilot: pilot.press(*keys), size) == [answer]


def test_enter_takes_the_default_and_other_letters_nothing() -> None:
    assert answers(confirm("stay"), lambda pilot: pilot.press("z", "1", "enter")) == ["stay"]


def test_a_second_answer_in_the_same_moment_closes_nothing_more() -> None:
    question = confirm()

    async def twice(pilot: Pilot[None]) -> None:
        below = pilot.app.screen_stack[0]
        question.dismiss("leave")
        question.dismiss("stay")
        await until(pilot, lambda: pilot.app.screen is below)

    assert answers(question, twice) == ["leave"]


def test_a_click_answers() -> None:
    assert answers(confirm(), lambda pilot: pilot.click(OptionList, offset=(6, 2))) == ["stop"]


@pytest.mark.parametrize("size", [(20, 5), (30, 8), (40, 12), (200, 60)])
def test_the_highlighted_choice_is_seen_in_every_size(size: tuple[int, int]) -> None:
    async def drive(pilot: Pilot[None]) -> None:
        choices = pilot.app.screen.query_one(OptionList)
        assert pilot.app.screen.region.contains_region(choices.region)
        assert choices.region.height >= 1
        await pilot.press("down", "down", "enter")

    assert answers(confirm(), drive, size) == ["stay"]


def problem(text: str) -> str:
    return "" if text.isdecimal() else f"allowed: a whole number {HOSTILE}"


def test_a_value_is_taken_once_it_is_valid() -> None:
    async def drive(pilot: Pilot[None]) -> None:
        screen = pilot.app.screen
        assert screen.query_one(Input).value == "10"
        await pilot.press("x", "enter")
        assert "allowed: a whole number" in str(screen.query_one("#problem", Static).render())
        assert isinstance(pilot.app.screen, AskValue)
        await pilot.press("backspace", "1", "2", "enter")

    assert answers(AskValue("Epochs", f"How many? {HOSTILE}", "10", problem), drive) == ["12"]


@pytest.mark.parametrize("size", [(20, 5), (40, 12), (80, 24)])
def test_the_field_is_seen_in_every_size(size: tuple[int, int]) -> None:
    async def drive(pilot: Pilot[None]) -> None:
        await pilot.pause()
        screen, field = pilot.app.screen, pilot.app.screen.query_one(Input)
        assert screen.region.contains_region(field.region)
        assert screen.query_one("#dialog").region.contains_region(field.region)
        await pilot.press("1", "enter")

    assert answers(AskValue("Epochs", "How many epochs should it be in all? " * 4, "10", problem), drive, size) == [
        "1"
    ]


def test_the_keys_are_listed_as_they_are() -> None:
    async def drive() -> None:
        app = App[None]()
        async with app.run_test(size=(80, 24)) as pilot:
            bindings = (
                Binding("down", "x", "choose", key_display="↑↓", id="a.down"),
                Binding("f5", "y", "start", tooltip="start the run", key_display="Go", id="a.start"),
                Binding("ctrl+g", "y", "start", tooltip="start the run", id="a.start"),
                Binding("tab", "z", "Textual's own"),
            )
            app.push_screen(Help([ActiveBinding(app, binding, True, "") for binding in bindings], "keys.toml"))
            await pilot.pause()
            text = text_of(pilot)
        rows = [line.strip("│ ").split() for line in text.splitlines() if " a." in line]
        assert rows == [["↓", "Choose", "a.down"], ["F5", "^g", "Start", "the", "run", "a.start"]]
        assert "Textual" not in text

    asyncio.run(drive())


def test_a_value_need_not_be_given() -> None:
    assert answers(AskValue("Epochs", "How many?", "10", problem), lambda pilot: pilot.press("escape")) == [None]
