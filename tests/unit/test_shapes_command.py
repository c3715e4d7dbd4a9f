"""``resnet-tui shapes`` as a person uses it."""

import csv
import io
import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from engine.errors import UserError
from resnet_tui.cli import app

RESNET34 = ["--arch", "resnet", "--depth", "34", "--stem", "imagenet", "--input", "3x224x224", "--classes", "1000"]


def call(*arguments: str, columns: int = 120) -> str:
    result = CliRunner().invoke(app, ["shapes", *arguments], env={"COLUMNS": str(columns)}, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*arguments: str) -> tuple[str, Result]:
    result = CliRunner().invoke(app, ["shapes", *arguments])
    assert isinstance(result.exception, UserError), result.exception
    assert result.exception.exit_status == 2
    return str(result.exception), result


def test_the_walkthrough_as_a_table() -> None:
    out = call(*RESNET34, "--detail", "stages")
    for text in ("(224 − 7 + 2×3)/2 + 1 = 112", "64×112×112", "512×1×1", "512 → 1000", "21,797,672", "3,663,761,408"):
        assert text in out
    assert len(re.findall(r"^(?:stem|stage|head)", out, re.MULTILINE)) == 8


def test_json_has_rows_totals_and_memory() -> None:
    found = json.loads(call(*RESNET34, "--json", "--batch-size", "2"))
    assert {
        "stage", "block", "name", "op", "kernel", "stride", "padding", "input", "output", "formula", "params", "macs",
        "flops", "activation_bytes", "receptive_field",
    } <= set(found["rows"][0])  # fmt: skip
    totals = found["totals"]
    assert (totals["params"], totals["trainable_params"], totals["macs"]) == (21_797_672, 21_797_672, 3_663_761_408)
    assert totals["flops"] == 2 * totals["macs"]
    assert totals["activation_bytes"] == sum(row["activation_bytes"] for row in found["rows"])
    ops = {row["op"] for row in found["rows"]}
    assert ops >= {
        "Conv2d",
        "BatchNorm2d",
        "ReLU",
        "MaxPool2d",
        "Add",
        "Identity",
        "AdaptiveAvgPool2d",
        "Flatten",
        "Linear",
    }
    assert found["training_memory_bytes"]["total"] > totals["activation_bytes"]
    assert found["failure"] is None


def test_csv_has_a_line_an_operation() -> None:
    rows = list(csv.DictReader(io.StringIO(call("--depth", "8", "--csv"))))
    assert (rows[0]["name"], rows[0]["kernel"], rows[0]["output"]) == ("stem.conv", "3x3", "16x32x32")
    assert sum(int(row["params"]) for row in rows) == int(
        json.loads(call("--depth", "8", "--json"))["totals"]["params"]
    )


@pytest.mark.parametrize("detail", ["stages", "blocks", "operations"])
def test_levels_of_detail(detail: str) -> None:
    names = [row["name"] for row in json.loads(call("--depth", "20", "--detail", detail, "--json"))["rows"]]
    assert len(names) == {"stages": 6, "blocks": 12, "operations": 78}[detail]


def test_a_preset_gives_network_input_and_classes() -> None:
    out = json.loads(call("--preset", "resnet20-cifar100", "--json"))
    assert out["rows"][-1]["output"] == [100]
    assert call("--arch", "residual-mlp").startswith("residual MLP 32-32-64, input 4")


def test_explain_words_one_operation_and_every_part() -> None:
    assert "7×7×3 × 64 = 9,408 (no bias)" in call(*RESNET34, "--explain", "stem.conv")
    assert "2 × 118,013,952" in call(*RESNET34, "--explain", "stem.conv")
    block = call("--depth", "8", "--explain", "stage2.block1", columns=200)
    assert "4,608 conv1 + 64 norm1 + 9,216 conv2 + 64 norm2 = 13,952" in block
    assert "shortcut: (32 − 1 + 2×0)/2 + 1 = 16.5 → ⌊16.5⌋ = 16; 8 zeros + 16 + 8 zeros = 32 channels" in block
    assert "add: F(x) + x, both 32×16×16" in block
    assert "512 conv + 64 norm = 576" in call(
        "--depth", "8", "--shortcut", "B", "--explain", "stage2.block1.shortcut", columns=200
    )


def test_every_name_in_a_table_can_be_explained() -> None:
    for detail in ("stages", "blocks", "operations"):
        rows = json.loads(call("--depth", "8", "--detail", detail, "--json"))["rows"]
        for row in rows:
            said = call("--depth", "8", "--explain", row["name"], columns=300)
            assert f"{row['params']:,}" in said, row["name"]
            assert "×".join(map(str, row["output"])) in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--input", "3x32"], ["--input", "3x32", "3x224x224"]),
        (["--input", "3x0x4"], ["--input", "at least 1"]),
        (["--input", "3x99999x4"], ["--input", "65536"]),
        (["--input", "abc"], ["--input", "abc"]),
        (["--classes", "0"], ["--classes", "allowed"]),
        (["--detail", "block"], ["--detail", "did you mean 'blocks'"]),
        (["--explain", "stem.cov"], ["stem.cov", "did you mean 'stem.conv'"]),
        (["--batch-size", "0"], ["--batch-size", "allowed"]),
        (["--explain", "stem", "--json"], ["--explain", "--json"]),
        (["--json", "--csv"], ["--json", "--csv"]),
        (["--depth", "21"], ["--depth", "20 and 26"]),
        (["--depth", "31", "--arch", "highway"], ["29 and 32"]),
        (["--arch", "densenet", "--shortcut", "A"], ["--shortcut", "model.shortcut", "densenet", "growth"]),
        (["--arch", "residual-mlp", "--input", "3x32x32"], ["residual-mlp", "rows of features"]),
        (["--input", "4"], ["resnet", "images"]),
        (["--stem", "imagnet"], ["--stem", "did you mean 'imagenet'"]),
        (["--preset", "nothing-like-it"], ["preset", "nothing-like-it"]),
    ],
)
def test_bad_input_is_refused_in_words(arguments: list[str], words: list[str]) -> None:
    message, result = refused(*arguments)
    assert all(word in message for word in words), message
    assert result.stdout == ""


def test_an_input_too_small_gives_the_table_up_to_what_fails() -> None:
    message, result = refused("--arch", "densenet", "--input", "3x2x2", "--detail", "operations")
    assert re.search(r"^stage2\.transition\n  norm .*\n  relu .*\n  conv +Conv2d .*\n+", result.stdout, re.MULTILINE)
    assert "AvgPool2d" in result.stdout  # the first transition's
    assert result.stdout.count("AvgPool2d") == 1
    assert "stage2.transition.pool" in message
    assert "another --input" in message


@pytest.mark.parametrize("columns", [60, 80, 100, 120, 200])
def test_the_table_fits_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.config import ResNetConfig
    from engine.shapes.groups import grouped
    from engine.shapes.trace import shape_table
    from resnet_tui.printing.shape_table import ALWAYS
    from resnet_tui.printing.shape_table import columns as choose

    rows = grouped(shape_table(ResNetConfig(depth=34), (3, 224, 224), 1000).rows, "blocks")
    chosen = choose(rows, columns)
    width = sum(max(len(c.header), *(len(c.cell(row)) for row in rows)) + 2 for c in chosen) - 2
    assert width <= columns or len(chosen) == len(ALWAYS)
    assert len(choose(rows, columns + 40)) >= len(chosen)


def test_operations_stand_below_the_name_of_their_block() -> None:
    lines = [line.rstrip() for line in call("--depth", "8", "--detail", "operations").splitlines()]
    block = lines.index("stage2.block1")
    assert [line.split()[0] for line in lines[block + 1 : block + 9]] == [
        "conv1", "norm1", "relu1", "conv2", "norm2", "shortcut", "add", "relu2",
    ]  # fmt: skip
    shortcut = next(line for line in lines[block:] if line.split()[0] == "shortcut")
    assert "8 zeros + 16 + 8 zeros = 32 channels" in shortcut


def test_a_narrow_terminal_has_the_formula_below_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    from resnet_tui.printing import shape_table as shape_view

    monkeypatch.setattr(shape_view, "_PIPE_WIDTH", 80)
    lines = call(*RESNET34, "--detail", "stages").splitlines()
    table = lines[1 : lines.index("")]
    assert max(len(line) for line in table) <= 80
    stem = next(i for i, line in enumerate(table) if line.startswith("stem.conv"))
    assert table[stem + 1] == "    (224 − 7 + 2×3)/2 + 1 = 112.5 → ⌊112.5⌋ = 112"
    assert all("unchanged" not in line for line in table)


def test_a_presets_own_images_classes_and_batch_are_shown(tmp_path: Path) -> None:
    preset = tmp_path / "mine.toml"
    preset.write_text(
        '[data]\ndataset = "synthetic"\nimage_size = 64\nsynthetic_classes = 5\n'
        "[optim]\naccumulate = 4\n[train]\nbatch_size = 64\n"
    )
    found = json.loads(call("--preset", str(preset), "--json"))
    assert (found["input"], found["batch_size"], found["rows"][-1]["output"]) == ([3, 64, 64], 16, [5])
    assert json.loads(call("--preset", str(preset), "--json", "--batch-size", "1"))["batch_size"] == 1


def test_transitions_are_no_blocks() -> None:
    rows = json.loads(call("--arch", "densenet", "--detail", "stages", "--json"))["rows"]
    assert [row["op"] for row in rows if row["stage"].startswith("stage")] == [
        "12 blocks + transition", "12 blocks + transition", "12 blocks",
    ]  # fmt: skip


def test_a_stage_of_linear_layers_has_the_formula_of_the_one_that_widens() -> None:
    rows = json.loads(call("--arch", "residual-mlp", "--detail", "stages", "--json"))["rows"]
    assert [(row["input"], row["output"], row["formula"]) for row in rows] == [
        ([4], [32], "4 → 32"), ([32], [64], "32 → 64"), ([64], [3], "64 → 3"),
    ]  # fmt: skip
