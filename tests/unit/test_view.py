"""Zoom and pan keep within the run; the budget spaces drawings; ASCII is ASCII; settings survive what is wrong."""

from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len

from resnet_tui import settings
from resnet_tui.ascii_filter import to_ascii
from resnet_tui.budget import LONGEST, SHORTEST, Budget
from resnet_tui.settings import Settings
from resnet_tui.view import View

WHOLE = (0.0, 100.0)


def test_zooming_in_keeps_the_cursor_in_its_place() -> None:
    view = View(cursor=25.0).zoomed(0.5, WHOLE)
    assert view.window == pytest.approx((12.5, 62.5))
    assert view.zoomed(2.0, WHOLE).window is None


def test_without_a_cursor_it_zooms_to_the_end_of_the_run() -> None:
    assert View().zoomed(0.5, WHOLE).window == (50.0, 100.0)


def test_a_window_never_leaves_the_run() -> None:
    view = View(window=(50.0, 100.0))
    assert view.panned(1.0, WHOLE).window == (50.0, 100.0)
    assert view.panned(-3.0, WHOLE).window == (0.0, 50.0)
    assert View().panned(1.0, WHOLE).window is None
    for _ in range(200):
        view = view.zoomed(0.5, WHOLE)  # however often, nothing divides by zero
    assert view.window is not None
    assert View(window=None).zoomed(0.5, (0.0, 0.0)).window is None  # a run without a step


def test_another_axis_has_other_units() -> None:
    assert View(window=(1, 2), cursor=1.5).with_axis("time") == View(axis="time")


class Clocks:
    """A wall clock and a processor clock that a test sets."""

    def __init__(self) -> None:
        self.now = self.used = 0.0


def test_drawing_waits_until_its_cost_is_within_the_budget() -> None:
    clocks = Clocks()
    budget = Budget(0.02, clock=lambda: clocks.now, processor=lambda: clocks.used)
    assert budget.due()
    clocks.used += 0.01
    budget.drawn()
    clocks.now += 0.49
    assert not budget.due()
    clocks.now += 0.02
    assert budget.due()


@pytest.mark.parametrize(("cost", "wait"), [(0.0, SHORTEST), (10.0, LONGEST)])
def test_it_is_drawn_at_most_ten_times_a_second_and_at_least_now_and_then(cost: float, wait: float) -> None:
    clocks = Clocks()
    budget = Budget(0.02, clock=lambda: clocks.now, processor=lambda: clocks.used)
    clocks.used += cost
    budget.drawn()
    clocks.now += wait - 0.001
    assert not budget.due()
    clocks.now += 0.002
    assert budget.due()


@pytest.mark.parametrize(
    "text", ["━━ loss ●", "▀▄█░", "⠁⣿⠀", "→ (224 − 7 + 2×3)/2 → ⌊112.5⌋ = 112", "日本", "é", "a\u0301", "▁▂▃▄▅▆▇█"]
)
def test_ascii_takes_as_many_cells(text: str) -> None:
    assert to_ascii(text).isascii()
    assert cell_len(to_ascii(text)) == cell_len(text)


def test_settings_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "dashboard.toml"
    wanted = replace(Settings(), theme="nord", axis="time", log=True, setup={"name": "x"})
    settings.write(path, wanted)
    assert settings.read(path) == wanted


BROKEN = [b"\xff\xfe", b"theme = ", b"[keys]\na = 1.5\n[keys]", b"x" * (2 << 20)]


@pytest.mark.parametrize(
    "content", [*BROKEN, b"axis = 'furlong'", b"log = 'perhaps'", b"smoothing = 1.0", b"new = 1"]
)
def test_settings_that_are_not_ours_cost_no_session(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "dashboard.toml"
    path.write_bytes(content)
    assert settings.read(path) == Settings()


@pytest.mark.parametrize("content", [*BROKEN, b"keys = 1", b"[keys]\na = 1", b"[other]"])
def test_a_mistake_in_the_keys_is_said(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "keys.toml"
    path.write_bytes(content)
    keys, problem = settings.read_keys(path)
    assert keys == {}
    assert "keys.toml" in problem
    assert problem.isprintable()


def test_keys_are_read(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    assert settings.read_keys(path) == ({}, "")
    path.write_text('# mine\n[keys]\n"run.pause" = "space"\n')
    assert settings.read_keys(path) == ({"run.pause": "space"}, "")
