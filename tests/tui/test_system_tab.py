"""The system tab: use, what is not known, what the dashboard costs, and what the run runs on."""

from dataclasses import replace
from pathlib import Path

import pytest
from made_run import MadeRun
from tab_support import TabApp
from tui_support import drive, text_of, until

from engine.events import Event, RunStarted, System
from engine.run_dir import RunDir
from resnet_tui.budget import Budget
from resnet_tui.tabs.system import SystemTab

CPU = System(
    cpu_percent=150.0,
    memory_bytes=512 << 20,
    host_cpu_percent=80.0,
    host_memory_bytes=4 << 30,
    host_memory_total=16 << 30,
)
GPU = replace(
    CPU,
    device_memory_bytes=20 << 30,
    device_memory_total=80 << 30,
    device_percent=97.0,
    device_watts=412.0,
    device_celsius=61.0,
)


def events(*readings: System, device: str) -> list[Event]:
    made = MadeRun()
    (start, *rest) = made.begin()
    assert isinstance(start, RunStarted)
    start = replace(start, device=device, versions=(("python", "3.11.7"), ("torch[/red]", "2.15\x1b[31m")))
    return [start, *rest, *(made.at(reading, after=5.0) for reading in readings)]


@pytest.mark.parametrize("size", [(20, 5), (80, 24), (120, 40), (200, 60)])
def test_use_is_shown_and_what_is_not_known_says_why(size: tuple[int, int]) -> None:
    async def test() -> None:
        app = TabApp(SystemTab(Budget(), RunDir(Path("/runs/some"))))
        async with app.run_test(size=size) as pilot:
            app.draw()  # before anything is known
            app.feed(*events(CPU, replace(CPU, cpu_percent=50.0), device="cpu (2 threads)"))
            wanted = ["50 %"]
            if size > (20, 5):
                wanted += [
                    "4.0 GiB of 16.0 GiB",
                    "trains on the CPU",
                    "this dashboard",
                    "25.0 % of one core",
                    "cpu (2 thr",
                ]
            if size > (80, 24):
                wanted += ["highest 512.0 MiB", "torch[/red]", "/runs/some", "3.11.7"]
            await until(pilot, lambda: all(text in text_of(pilot) for text in wanted))
            assert "\x1b" not in text_of(pilot)

    drive(test)


def test_a_device_is_shown_and_drawn_over_time() -> None:
    async def test() -> None:
        app = TabApp(SystemTab(Budget()))
        async with app.run_test(size=(120, 40)) as pilot:
            low = replace(GPU, device_percent=10.0)
            app.feed(*events(low, GPU, low, device="cuda:0 (some)"))
            await until(pilot, lambda: "highest 97 %" in text_of(pilot))
            seen = text_of(pilot)
            for value in ("10 %", "20.0 GiB of 80.0 GiB", "412 W", "61 °C"):
                assert value in seen
            assert "not known" not in seen
            lines = seen.splitlines()
            start = next(i for i, line in enumerate(lines) if "device use" in line)
            upper = lines[start + 1].split("│")[1]
            assert upper.strip(), "the highest reading reaches the chart's upper row"
            assert upper.rstrip() != upper.strip(), "the low ones before it do not"

    drive(test)


def test_a_driver_that_says_nothing_is_told_from_a_cpu() -> None:
    async def test() -> None:
        app = TabApp(SystemTab(Budget()))
        async with app.run_test(size=(120, 40)) as pilot:
            app.feed(*events(CPU, device="mps"))
            await until(pilot, lambda: text_of(pilot).count("not known here: the driver does not say") == 4)

    drive(test)
