"""``resnet-tui runs``, ``presets`` and ``doctor``: what they list, and what never hides the rest."""

import importlib.metadata
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from made_run import STEPS, MadeRun
from typer.testing import CliRunner

from engine import presets
from engine.config import RunConfig
from engine.config_file import build_config, to_toml
from engine.errors import ConfigError
from engine.events import ControlApplied, Event, encode
from engine.run_dir import RunDir
from resnet_tui.cli import app


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, with no colours, and a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RESNET_TUI_CACHE", str(tmp_path / "cache"))
    for name in ("RESNET_TUI_RUNS", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def call(*arguments: str, status: int = 0) -> str:
    """Run a command in this process; what it prints, or the error it raises."""
    result = CliRunner().invoke(app, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == status, result.output
    assert "\x1b" not in result.output
    return result.stdout


def keep(name: str, events: Iterable[Event], config: RunConfig | None = None, runs: Path = Path("runs")) -> RunDir:
    """Make the folder of a run that no process holds."""
    run = RunDir(runs / name)
    run.path.mkdir(parents=True)
    run.config_file.write_text(to_toml(config or MadeRun().config))
    run.events.write_bytes(b"".join(map(encode, events)))
    return run


def listed(*arguments: str) -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in json.loads(call("runs", "--json", *arguments))}


def lines_of(text: str, word: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines() if word in line]


def interrupted() -> list[Event]:
    """Return the events of a run of 3 epochs that got as far as the middle of its second."""
    run = MadeRun(3)
    return [*run.begin(), *run.epoch(1), *run.end_epoch(1, 0.4), *run.epoch(2, last=5)]


# runs ----------------------------------------------------------------------------------------------------------


def test_no_runs_is_said_and_makes_no_folder(place: Path) -> None:
    assert call("runs") == "no runs in runs yet; start one with: resnet-tui train --headless\n"
    assert json.loads(call("runs", "--json")) == []
    (place / "elsewhere" / "holiday pictures").mkdir(parents=True)
    assert call("runs", "--runs-dir", "elsewhere").startswith("no runs in elsewhere yet")
    assert not (place / "runs").exists()


def test_a_completed_run_says_what_it_reached() -> None:
    keep("20260101-120000-made-s0", MadeRun(3).whole([0.5, 0.75, 0.625]))
    (entry,) = listed().values()
    assert entry["state"] == "completed"
    assert (entry["network"], entry["dataset"]) == ("ResNet-20, shortcut A", "digits")
    assert (entry["epochs_done"], entry["epochs"]) == (3, 3)
    assert (entry["best_accuracy"], entry["best_epoch"], entry["last_accuracy"]) == (0.75, 2, 0.625)
    assert entry["split"] == "test"
    assert entry["reason"] == "all epochs trained"
    assert entry["seconds"] == pytest.approx(3 * 12.5)
    text = call("runs")
    (cells,) = lines_of(text, "made-s0")
    assert cells[:2] == ["20260101-120000-made-s0", "completed"]
    assert {"3/3", "75.00", "62.50"} < set(cells)
    assert "--resume" not in text


def test_accuracies_are_validations_where_there_is_such_a_split() -> None:
    run = MadeRun(2, val=True)
    keep("val", run.whole([0.9, 0.8], val=[0.25, 0.5]), run.config)
    entry = listed()["val"]
    assert (entry["split"], entry["best_accuracy"], entry["best_epoch"]) == ("val", 0.5, 2)


def test_runs_stand_in_the_order_of_their_names_which_begin_with_the_date() -> None:
    for day in (3, 1, 2):
        keep(f"2026010{day}-000000-made-s0", MadeRun(1).whole([0.5]))
    assert [name[:8] for name in listed()] == ["20260101", "20260102", "20260103"]
    assert [cells[0][:8] for cells in lines_of(call("runs"), "made")] == ["20260101", "20260102", "20260103"]


@pytest.mark.parametrize("outcome", ["stopped", "failed", "diverged"])
def test_how_a_run_ended_is_its_state(outcome: str) -> None:
    run = MadeRun(3)
    keep("a", [*run.begin(), *run.epoch(1), *run.end_epoch(1, 0.5), run.finish(outcome, "for a reason")])
    assert (listed()["a"]["state"], listed()["a"]["reason"]) == (outcome, "for a reason")
    assert ("for a reason" in call("runs")) == (outcome != "stopped"), "what went wrong is said in the table, too"


def test_a_run_without_an_end_is_lost_unless_a_process_holds_it() -> None:
    run = keep("killed", interrupted())
    entry = listed()["killed"]
    assert (entry["state"], entry["epochs_done"], entry["epochs"], entry["last_accuracy"]) == ("lost", 1, 3, 0.4)
    assert "killed was killed; go on with: resnet-tui train --headless --resume killed\n" in call("runs")
    run.acquire()
    assert listed()["killed"]["state"] == "running"
    assert "--resume" not in call("runs")
    run.release()
    assert listed()["killed"]["state"] == "lost"


def test_the_command_to_go_on_finds_the_run_in_another_folder() -> None:
    keep("killed", interrupted(), runs=Path("my runs"))
    assert "--resume 'my runs/killed'\n" in call("runs", "--runs-dir", "my runs")


def test_a_held_run_is_paused_or_running_also_after_an_earlier_end() -> None:
    paused = [*interrupted(), ControlApplied(step=15, command="pause", value=None, source="viewer", id="1")]
    held = [keep("paused", paused), keep("resumed", MadeRun(1).whole([0.5]))]
    for run in held:
        run.acquire()
    assert {name: entry["state"] for name, entry in listed().items()} == {"paused": "paused", "resumed": "running"}


def test_a_run_that_was_resumed_is_listed_without_what_it_forgot() -> None:
    run = MadeRun(3)
    events = [*run.begin(), *run.epoch(1), *run.end_epoch(1, 0.4), *run.epoch(2), *run.end_epoch(2, 0.9)]
    events += [*run.begin(resumed_at=STEPS), *run.epoch(2), *run.end_epoch(2, 0.5), run.finish("stopped")]
    keep("a", events)
    assert (listed()["a"]["best_accuracy"], listed()["a"]["epochs_done"]) == (0.5, 2)


def test_an_empty_or_absent_log_is_a_run_that_never_began() -> None:
    keep("empty", [])
    keep("absent", []).events.unlink()
    assert {entry["state"] for entry in listed().values()} == {"lost"}
    assert {(entry["epochs_done"], entry["epochs"], entry["started"]) for entry in listed().values()} == {
        (0, 3, None)
    }
    assert len(lines_of(call("runs"), "0/3")) == 2


DAMAGE: dict[str, tuple[str, bytes | None]] = {
    "not TOML": ("config.toml", b"[model\n"),
    "not text": ("config.toml", b"\xff\xfe\x00"),
    "an unknown key": ("config.toml", b"[model]\ndepht = 20\n"),
    "a depth that does not exist": ("config.toml", b"[model]\ndepth = 21\n"),
    "huge": ("config.toml", b"#" * (2 << 20)),
    "log of rubbish": ("events.jsonl", b"\x00" * 4096 + b"\nrubbish\n"),
    "log that is a folder": ("events.jsonl", None),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_run_hides_no_other(damage: str) -> None:
    names = ["20260101-a", "20260102-b", "20260103-c"]
    for name in names:
        keep(name, MadeRun(1).whole([0.5]))
    file, content = DAMAGE[damage]
    path = Path("runs") / names[1] / file
    path.unlink(missing_ok=True)
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    entries = listed()
    assert [entries[name]["state"] for name in names] == ["completed", "damaged", "completed"]
    assert entries[names[1]]["reason"], "it says why"
    text = call("runs")
    assert [lines_of(text, name)[0][1] for name in names] == ["completed", "damaged", "completed"]
    assert f"{names[1]}: " in text


def test_a_log_cut_short_by_a_crash_is_read_as_far_as_it_goes() -> None:
    run = keep("cut", interrupted())
    run.events.write_bytes(run.events.read_bytes()[:-30])
    assert (listed()["cut"]["state"], listed()["cut"]["last_accuracy"]) == ("lost", 0.4)


def test_text_from_a_runs_folder_cannot_steer_the_terminal() -> None:
    hostile = "evil\x1b]52;c;aGk=\x07\u202e[bold]x"
    run = MadeRun(1)
    keep(hostile, [*run.begin(), run.finish("failed", f"no\n{hostile}")])
    keep(f"{hostile}-damaged", []).config_file.write_text("[model")
    keep(f"{hostile}-lost", interrupted())
    text = call("runs")  # which looks for escape sequences
    assert "\u202e" not in text
    assert text.count("[bold]x") >= 6, "names and reasons are not markup"
    assert "no evil" in text, "a reason stays on its line"
    assert len(json.loads(call("runs", "--json"))) == 3


@pytest.mark.parametrize(
    ("width", "titles"),
    [
        (40, "run state best"),
        (60, "run state epochs best"),
        (80, "run state epochs best time"),
        (90, "run state dataset epochs best time"),
        (100, "run state dataset epochs best last time"),
        (120, "run state network dataset epochs best last time"),
    ],
)
def test_a_narrow_terminal_gets_fewer_columns(width: int, titles: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keep("20260101-120000-resnet20-cifar10-s0", MadeRun(200).whole([1.0]))
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("typer.testing._NamedTextIOWrapper.isatty", lambda _: True)
    text = CliRunner().invoke(app, ["runs"]).stdout
    header, *rows = re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()
    assert " ".join(header.split()) == titles
    assert max(map(len, rows)) <= width
    assert "100.00 %" in rows[0], "no number is cut"


def test_a_pipe_gets_every_column_whatever_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    keep("20260101-120000-resnet20-cifar10-s0", MadeRun(1).whole([0.5]))
    monkeypatch.setenv("COLUMNS", "40")
    header, row = call("runs").splitlines()
    assert header.split() == ["run", "state", "network", "dataset", "epochs", "best", "last", "time"]
    assert row.split()[0] == "20260101-120000-resnet20-cifar10-s0"


# presets -------------------------------------------------------------------------------------------------------


def test_every_preset_is_listed_with_what_it_is() -> None:
    text = call("presets")
    entries = json.loads(call("presets", "--json"))
    assert sorted(entries) == presets.names()
    assert "quickstart" in entries
    for name in presets.names():
        first_line = presets.locate(name).read_text().splitlines()[0].removeprefix("# ")
        assert entries[name]["description"] == first_line
        (cells,) = [cells for cells in lines_of(text, name) if cells[0] == name]
        assert cells[1] == str(entries[name]["epochs"])
        assert first_line in text


def test_a_preset_is_printed_as_it_stands_with_its_comments() -> None:
    assert call("presets", "resnet20-cifar10").encode() == presets.locate("resnet20-cifar10").read_bytes()


def test_a_preset_as_json_is_its_whole_configuration() -> None:
    config = RunConfig.model_validate_json(call("presets", "resnet56-cifar10", "--json"))
    tree, source = presets.load("resnet56-cifar10")
    assert config == build_config(tree, {}, source)
    assert (config.name, config.model.title) == ("resnet56-cifar10", "ResNet-56, shortcut A")


def test_an_unknown_preset_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'resnet20-cifar10'"):
        call("presets", "resnet21-cifar10")


# doctor --------------------------------------------------------------------------------------------------------


def checks(*arguments: str, status: int = 0) -> dict[str, dict[str, str]]:
    return {check["what"]: check for check in json.loads(call("doctor", "--json", *arguments, status=status))}


def test_doctor_looks_at_everything_and_touches_nothing(place: Path) -> None:
    found = checks()
    assert {"python", "torch", "device cpu", "memory", "runs folder", "cache folder", "terminal"} <= set(found)
    assert found["torch"]["found"] == importlib.metadata.version("torch")
    assert {check["level"] for check in found.values()} <= {"ok", "note"}
    assert found["data digits"]["found"] == "embedded"
    assert found["data cifar10"]["found"] == "absent"
    assert "download cifar10" in found["data cifar10"]["todo"]
    assert list(place.iterdir()) == []
    assert call("doctor").endswith("no problems\n")


@pytest.mark.parametrize("what", ["runs folder", "cache folder"])
def test_a_folder_that_cannot_be_made_is_a_problem(what: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "file").write_text("in the way")
    if what == "runs folder":
        found = checks("--runs-dir", "file/runs", status=1)
    else:
        monkeypatch.setenv("RESNET_TUI_CACHE", str(place / "file" / "cache"))
        found = checks(status=1)
    assert {name for name, check in found.items() if check["level"] == "problem"} == {what}
    assert found[what]["todo"]


def test_one_problem_is_counted_and_said(place: Path) -> None:
    (place / "file").write_text("in the way")
    text = call("doctor", "--runs-dir", "file/runs\x1b[31m", status=1)
    assert text.endswith("\n1 problem\n")
    assert ["give", "another", "with", "--runs-dir"] in [line.split() for line in text.splitlines()]


@pytest.mark.parametrize(("version", "found"), [(None, "not installed"), ("0.1", "0.1")])
def test_a_package_that_is_missing_or_too_old_is_a_problem(
    version: str | None, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.metadata.version

    def other(name: str) -> str:
        if name != "plotext":
            return real(name)
        if version is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(importlib.metadata, "version", other)
    check = checks(status=1)["plotext"]
    assert (check["level"], check["found"]) == ("problem", found)
    assert check["todo"].startswith("pip install 'plotext>=")


def test_a_small_terminal_is_worth_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "evil\x1b[31m")
    monkeypatch.setenv("NO_COLOR", "1")
    for columns, lines, level in (("79", "24", "note"), ("80", "23", "note"), ("80", "24", "ok")):
        monkeypatch.setenv("COLUMNS", columns)
        monkeypatch.setenv("LINES", lines)
        check = checks()["terminal"]
        assert check["level"] == level
        assert check["found"].startswith(f"{columns}x{lines}, ")
        assert check["found"].endswith(", NO_COLOR is set")
    call("doctor")  # which looks for escape sequences
