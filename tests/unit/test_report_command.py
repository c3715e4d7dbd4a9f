"""``report``: what it says in each form, and that nothing from a run is more than text there."""

import base64
import dataclasses
import hashlib
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from made_run import MadeRun
from runs_support import keep
from support import tiny, train
from typer.testing import CliRunner, Result

from engine import run_dir
from engine.errors import UserError
from engine.events import ControlApplied, Event, RunStarted
from engine.literature import CIFAR10_CLASSES
from engine.run_dir import RunDir
from resnet_tui.charts.plot import Level, Line, Mark, Plot
from resnet_tui.cli import app
from resnet_tui.report.markdown import escaped
from resnet_tui.report.svg import svg

HOSTILE = "x\x1b]0;y\x07\u202e<script>alert(1)</script>\"'&|`_*[a](http://b)"
"""A name that is a script, markup of every kind, and an escape sequence."""
SVG = "{http://www.w3.org/2000/svg}"


def report(runs: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["report", "--runs-dir", str(runs), *arguments])


def said(runs: Path, *arguments: str) -> str:
    result = report(runs, *arguments)
    assert result.exit_code == 0, result.exception
    return result.stdout


def refused(runs: Path, *arguments: str) -> str:
    error = report(runs, *arguments).exception
    assert isinstance(error, UserError), error
    assert error.exit_status == 2
    return str(error)


def changed(events: Iterable[Event], **fields: Any) -> Iterator[Event]:
    for event in events:
        yield dataclasses.replace(event, **fields) if isinstance(event, RunStarted) else event


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return keep(tmp_path, "one", changed(MadeRun(3).whole([0.5, 0.75, 0.625]), classes=CIFAR10_CLASSES))


@pytest.fixture
def real(tmp_path: Path) -> RunDir:
    train(tiny(), tmp_path / "real")
    return next(run_dir.iterate(tmp_path / "real"))


class Page(HTMLParser):
    """Tags and text of a page; fails where a tag that was opened is not closed."""

    VOID = frozenset({"meta", "circle", "path"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open = list[str]()
        self.tags = list[tuple[str, dict[str, str | None]]]()
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


# What it says ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("run")
@pytest.mark.parametrize("form", ["text", "markdown", "html"])
def test_every_form_has_epochs_errors_and_what_is_published(tmp_path: Path, form: str) -> None:
    text = said(tmp_path, "one", "--format", form)
    text = " ".join((Page(text).text if form == "html" else re.sub(r"[|*\\]", " ", text)).split())
    assert "Report of one" in text
    assert "ResNet-20, shortcut A: 1,234 parameters" in text
    for words in ("train loss", "test loss", "test acc", "5.5000", "0.5000"):
        assert words in text
    spaced = r"\s*"
    for words in ("last 37.50 % 3", "best 25.00 % 2", "average 37.50 % all"):
        assert re.search(spaced.join(map(re.escape, words.split())), text), words
    for words in ("over all 3 epochs", "picked by looking at the test set", "Ours are of 16 test images"):
        assert words in text
    for words in ("ResNet20 (Khaula)", "272,474", "22.08 %", "81.24 %", "akamaster", "chenyaofo", "this run"):
        assert words in text


@pytest.mark.usefixtures("run")
def test_json_has_every_number(tmp_path: Path) -> None:
    found = json.loads(said(tmp_path, "one", "--format", "json"))["runs"][0]
    assert [row["test_accuracy"] for row in found["epoch_table"]] == [0.5, 0.75, 0.625]
    assert {error["kind"]: error["error"] for error in found["test_errors"]} == {
        "last": 0.375,
        "best": 0.25,
        "average": 0.375,
    }
    assert found["config"]["model"]["depth"] == 20
    assert found["published"][1]["model"] == "ResNet20 (Khaula)"


def test_json_is_strict_where_a_number_is_none(tmp_path: Path) -> None:
    made = MadeRun(1)
    steps = (event for event in made.whole([0.5]) if event.kind != "step")
    keep(tmp_path, "no steps", steps)
    text = said(tmp_path, "no steps", "--format", "json")
    assert "NaN" not in text
    assert json.loads(text)["runs"][0]["epoch_table"][0]["train_loss"] is None


def test_other_data_has_nothing_published_beside_it(tmp_path: Path) -> None:
    keep(tmp_path, "digits", MadeRun(1).whole([0.5]))
    text = said(tmp_path, "digits")
    assert "Nothing is published" in text
    assert "Khaula" not in text
    assert "Ours are of" not in text
    assert "this run, last and best (epoch 1)" in text


@pytest.mark.usefixtures("run")
def test_several_runs_begin_with_a_table_over_them(tmp_path: Path) -> None:
    keep(tmp_path, "two", MadeRun(2).whole([0.5, 0.25]), optim__lr=0.5)
    text = said(tmp_path, "one", "two")
    assert text.index("Outcome") < text.index("Settings that differ") < text.index("1 one\n") < text.index("2 two\n")
    assert "Different data" in text
    assert text.count("Last, best and average error") == 2
    page = Page(said(tmp_path, "one", "two", "--format", "html"))
    assert [link["href"] for link in page.named("a")] == ["#s1", "#s2", "#s3"]
    assert [heading["id"] for heading in page.named("h2")] == ["s1", "s2", "s3"]


def test_a_live_run_says_that_it_goes_on(tmp_path: Path) -> None:
    made = MadeRun(3)
    live = keep(tmp_path, "live", [*made.begin(), *made.epoch(1), *made.end_epoch(1, 0.5), *made.epoch(2, last=3)])
    live.acquire()
    assert re.search(r"training +still running: figures as of \d\d:\d\d:\d\d", said(tmp_path, "live"))
    live.release()
    assert "was killed before it could say" in said(tmp_path, "live")


def test_a_real_run_with_gradients_is_reported_in_every_form(real: RunDir) -> None:
    for form in ("text", "markdown", "json"):
        assert real.name in said(real.path.parent, "last", "--format", form)
    page = Page(said(real.path.parent, "last", "--format", "html"))
    assert len(page.named("svg")) == 4
    assert "learning rate" in page.text
    assert "gradient norm, log scale" in page.text


# The page -------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("run")
def test_the_page_needs_nothing_and_allows_nothing(tmp_path: Path) -> None:
    text = said(tmp_path, "one", "--format", "html")
    page = Page(text)
    policy = next(m["content"] for m in page.named("meta") if m.get("http-equiv") == "Content-Security-Policy")
    style = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style[0].encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    names = {name for _, attributes in page.tags for name in attributes}
    assert not names & {"src", "style", "onclick", "onload", "xlink:href"}
    assert not {tag for tag, _ in page.tags} & {"script", "link", "img", "iframe", "object", "use", "image"}
    assert "url(" not in style[0]
    assert "@import" not in style[0]
    assert "http" not in text.replace("http-equiv", "")


@pytest.mark.usefixtures("run")
def test_the_page_can_be_read_without_seeing_it(tmp_path: Path) -> None:
    text = said(tmp_path, "one", "--format", "html")
    page = Page(text)
    assert page.named("html") == [{"lang": "en"}]
    assert text.count("<title>Report of one</title>") == 1
    assert len(page.named("table")) == len(page.named("caption")) == 3
    assert {th.get("scope") for th in page.named("th")} == {"col", "row"}
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    pictures = page.named("svg")
    assert pictures
    for picture in pictures:
        assert picture["role"] == "img"
        assert set((picture["aria-labelledby"] or "").split()) <= set(ids)
    assert "train from 1 to" in page.text, "charts in words"


def test_nothing_from_a_run_is_more_than_text(tmp_path: Path) -> None:
    name = HOSTILE.replace("/", "")
    made = MadeRun(2)
    asked = ControlApplied(step=2, command=HOSTILE, value=None, source=HOSTILE, id="1")
    events = [*made.whole([0.5, 0.75])]
    facts = {"device": HOSTILE, "precision": HOSTILE, "classes": (HOSTILE, "b"), "versions": ((HOSTILE, HOSTILE),)}
    keep(tmp_path, name, changed([*events[:5], made.at(asked), *events[5:]], **facts))
    keep(tmp_path, "other", MadeRun(1).whole([0.5]))
    for runs in ([name], [name, "other"]):
        page = Page(said(tmp_path, *runs, "--format", "html"))
        assert "<script>alert(1)" in page.text, "shown as it is written"
        assert "script" not in {tag for tag, _ in page.tags}
        for form in ("text", "markdown", "json", "html"):
            assert not {"\x1b", "\x07", "\u202e"} & set(said(tmp_path, *runs, "--format", form))
        markdown = said(tmp_path, *runs, "--format", "markdown")
        assert re.search(r"(?<!\\)<script", markdown) is None
        assert r"\[a\](http" in markdown
        rows = [line for line in markdown.splitlines() if line.startswith("| ")]
        assert all(len(re.findall(r"(?<!\\)\|", line)) >= 3 for line in rows)


def test_markdown_escapes_what_would_be_markup() -> None:
    assert escaped("a|b*c_d _e_ <f> `g` [h] val_size \\ &amp;") == (
        r"a\|b\*c_d \_e\_ \<f\> \`g\` \[h\] val_size \\ \&amp;"
    )


@pytest.mark.usefixtures("run")
def test_markdown_tables_have_as_many_cells_in_every_row(tmp_path: Path) -> None:
    keep(tmp_path, "two", MadeRun(2).whole([0.5, 0.25]))
    tables = re.findall(r"(?:^\|.*\n)+", said(tmp_path, "one", "two", "--format", "markdown"), re.MULTILINE)
    assert len(tables) >= 6
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


# Charts ---------------------------------------------------------------------------------------------------------


def drawn(plot: Plot) -> ET.Element:
    text = svg(plot, "p").replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ')
    return ET.fromstring(text)


def line(values: list[float], **fields: Any) -> Line:
    given = {"name": "train", "xs": range(len(values)), "lows": values, "highs": values, "colour": "#4ea1ff"}
    return Line(**(given | fields))


def curve(picture: ET.Element, look: str = "line") -> list[tuple[float, float]]:
    path = next(path for path in picture.iter(f"{SVG}path") if (path.get("class") or "").split()[0] == look)
    points = (path.get("d") or "").removeprefix("M").removesuffix("Z").split("L")
    return [(float(x), float(y)) for x, y in (point.split() for point in points)]


def test_a_curve_goes_from_the_left_to_the_right_and_up_where_values_rise() -> None:
    points = curve(drawn(Plot("loss", (line([1.0, 2.0, 4.0]),))))
    assert [x for x, _ in points] == sorted(x for x, _ in points)
    assert points[0][1] > points[1][1] > points[2][1]
    assert points[0][1] - points[1][1] == pytest.approx((points[1][1] - points[2][1]) / 2, abs=0.2)


def test_on_a_log_scale_equal_factors_are_equal_steps() -> None:
    points = curve(drawn(Plot("norm", (line([0.0, 1.0, 10.0, 100.0]),), log_y=True)))
    assert len(points) == 3, "zero has no place there"
    assert points[0][1] - points[1][1] == pytest.approx(points[1][1] - points[2][1], abs=0.2)


def test_what_is_not_finite_is_left_out_and_long_curves_are_thinned() -> None:
    values = [float("nan"), float("inf"), *(float(n % 50) for n in range(5000))]
    picture = drawn(Plot("loss", (line(values), line(values, name="raw", highs=[v + 1 for v in values], dim=True))))
    assert 100 < len(curve(picture)) <= 400
    assert len(curve(picture, "band")) <= 800
    assert "nan" not in ET.tostring(picture, encoding="unicode").lower()


def test_nothing_to_draw_is_an_empty_picture() -> None:
    assert drawn(Plot("loss")).find(f"{SVG}title") is not None
    assert drawn(Plot("loss", (line([1.0]),), log_y=True)).find(f"{SVG}circle") is not None


def test_published_figures_and_changes_are_named_and_lines_told_apart_without_colour() -> None:
    plot = Plot(
        "accuracy",
        (line([0.1, 0.2]), line([0.3, 0.4], name="test", points=True)),
        marks=(Mark(0.5, "<rate>"),),
        levels=(Level(0.9, "He & al."),),
        percent=True,
    )
    picture = drawn(plot)
    texts = "".join(picture.itertext())
    assert "He & al. 90.00 %" in texts
    assert "<rate>" in texts
    assert "train from 10.00 % to 20.00 %; test from 30.00 % to 40.00 %" in texts
    looks = [path.get("class") for path in picture.iter(f"{SVG}path") if (path.get("class") or "").startswith("line")]
    assert {look.split()[-1] for look in looks if look} == {"d0", "d1"}


# Files and refusals ---------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("run")
@pytest.mark.parametrize(
    ("name", "begin"), [("r.html", "<!DOCTYPE"), ("r.md", "# R"), ("r.json", "{"), ("r", "Rep"), ("r.HTM", "<!DOC")]
)
def test_the_file_s_name_says_its_form(tmp_path: Path, name: str, begin: str) -> None:
    path = tmp_path / name
    assert said(tmp_path, "one", "--output", str(path)) == f"{path}: report of one\n"
    assert path.read_text().startswith(begin)


@pytest.mark.usefixtures("run")
def test_a_file_is_not_written_over_unasked(tmp_path: Path) -> None:
    path = tmp_path / "r.md"
    path.write_text("mine")
    assert "there is such a file" in refused(tmp_path, "one", "--output", str(path))
    assert path.read_text() == "mine"
    assert "let the name end in .txt, .md, .html, .json" in refused(
        tmp_path, "one", "--output", str(tmp_path / "r.pdf")
    )
    said(tmp_path, "one", "--output", str(path), "--force")
    assert path.read_text().startswith("# Report of one")
    assert "a folder" in refused(tmp_path, "one", "--output", str(tmp_path), "--force")
    assert "there is no folder" in refused(tmp_path, "one", "--output", str(tmp_path / "none/r.md"))


@pytest.mark.usefixtures("run")
def test_a_form_that_is_none_or_that_the_name_contradicts_is_refused(tmp_path: Path) -> None:
    message = refused(tmp_path, "one", "--format", "htm")
    assert "allowed: text, markdown, html, json" in message
    assert "html" in message.partition("json")[2], "the nearest is named"
    assert "let the name end in .html" in refused(tmp_path, "one", "--format", "html", "-o", str(tmp_path / "r.md"))


@pytest.mark.usefixtures("run")
def test_runs_of_which_nothing_can_be_said_are_refused(tmp_path: Path) -> None:
    made = MadeRun(2)
    keep(tmp_path, "young", [*made.begin(), *made.epoch(1, last=3)])
    assert "young has not finished an epoch" in refused(tmp_path, "young")
    assert "young has not finished an epoch" in refused(tmp_path, "one", "young", "-o", str(tmp_path / "r.html"))
    assert not (tmp_path / "r.html").exists()
    assert "the same run twice" in refused(tmp_path, "one", "one")
    assert "'none' is no run" in refused(tmp_path, "none")
