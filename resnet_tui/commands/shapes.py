"""``resnet-tui shapes``: what comes out of every layer of a network, why, and what it costs."""

from __future__ import annotations

import csv as csv_module
import json as json_module
import sys
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Annotated

import typer

from resnet_tui.commands.options import (
    Arch,
    Assignments,
    Block,
    Depth,
    Flags,
    Shortcut,
    StemOption,
    Width,
    model_flags,
)

if TYPE_CHECKING:
    from engine.config import ModelConfig, RunConfig
    from engine.shapes.groups import Detail
    from engine.shapes.table import ShapeTable


def shapes(
    preset: Annotated[str | None, typer.Option(help="A preset's name or a .toml file.")] = None,
    arch: Arch = None,
    depth: Depth = None,
    shortcut: Shortcut = None,
    block: Block = None,
    stem: StemOption = None,
    width: Width = None,
    assignments: Assignments = None,
    input_shape: Annotated[
        str | None, typer.Option("--input", help="Input, such as 3x224x224 or, for features, 4.", metavar="CxHxW")
    ] = None,
    classes: Annotated[str | None, typer.Option(help="Number of logits.", metavar="INTEGER")] = None,
    batch_size: Annotated[
        str | None, typer.Option(help="Batch for the memory. [default: the preset's, or 128]", metavar="INTEGER")
    ] = None,
    detail: Annotated[
        str | None,
        typer.Option(help="stages, blocks or operations. [default: blocks; with --json and --csv, operations]"),
    ] = None,
    explain: Annotated[
        str | None,
        typer.Option(help="One part in full, such as stage2, stage2.block1 or stage2.block1.conv1.", metavar="NAME"),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print rows and totals as JSON.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print rows as CSV.")] = False,
) -> None:
    """Show the shape, formula, parameters, operations, memory and receptive field of every layer.

    Nothing is allocated or computed: networks of any size take seconds, on any machine. MACs are
    multiply-accumulates of convolutions and linear layers; FLOPs are two for each MAC, and nothing else is counted.
    Memory is what a batch keeps for the backward pass, in float32.
    """
    from engine.errors import UserError

    if json and csv:
        raise UserError("--json and --csv: give one of them")
    if explain is not None and (json or csv or detail is not None):
        raise UserError("--explain words one row; --detail, --json and --csv are for tables: leave one of them out")
    config = _config(preset, model_flags(arch, depth, shortcut, block, stem, width, assignments))
    shown = _detail(detail, as_data=json or csv)
    shape = input_of(input_shape, config.model, image_size=_image_size(config))
    outputs = _count("--classes", classes) or _classes(config)
    batch = _count("--batch-size", batch_size) or config.micro_batch

    from engine.shapes.trace import shape_table

    table = shape_table(config.model, shape, outputs, batch)
    if explain is not None:
        _explain(table, explain)
    elif json:
        _print_json(table, config, shown)
    elif csv:
        _print_csv(table, shown)
    else:
        from resnet_tui.printing.shape_table import print_table

        print_table(table, config, shown)
    if table.failure is not None:
        from engine.shapes.formula import shape_text

        sys.stdout.flush()
        failed = table.failure
        raise UserError(
            f"{config.model.title} does not fit an input of {shape_text(shape)}: {failed.name} ({failed.op}): "
            f"{failed.reason}; give another --input"
        )


def _config(preset: str | None, flags: Flags) -> RunConfig:
    from engine import presets
    from engine.config_file import build_config

    tree, file = presets.load(preset) if preset is not None else ({}, "defaults")
    if preset is None and flags.get("model.arch", ("", ""))[1] == "residual-mlp":
        tree = {"data": {"dataset": "iris"}}
    return build_config(tree, flags, file)


def _count(flag: str, given: str | None) -> int | None:
    from engine.errors import UserError
    from engine.text import one_line

    if given is None:
        return None
    number = int(given) if given.isascii() and given.isdecimal() and len(given) <= 7 else 0
    if not 1 <= number <= 1_000_000:
        raise UserError(f"{flag} {one_line(given)!r}: allowed: a whole number from 1 to 1,000,000")
    return number


def _classes(config: RunConfig) -> int:
    from engine.data.facts import ASSUMED_CLASSES, facts

    return facts(config.data).classes or ASSUMED_CLASSES


def _image_size(config: RunConfig) -> int | None:
    return config.data.image_size if config.data.dataset in {"synthetic", "imagefolder"} else None


def _detail(given: str | None, *, as_data: bool) -> Detail:
    from engine.config_file import nearest
    from engine.errors import UserError
    from engine.shapes.groups import DETAILS

    if given is None:
        return "operations" if as_data else "blocks"
    for detail in DETAILS:
        if detail == given:
            return detail
    raise UserError(f"--detail {given!r}: allowed: {', '.join(DETAILS)}{nearest(given, DETAILS)}")


def input_of(
    given: str | None, model: ModelConfig, channels: int | None = None, image_size: int | None = None
) -> tuple[int, ...]:
    """Read ``CxHxW`` or ``F``; not given: what the network is made for, or what is known of the input.

    Raises:
        UserError: it is neither.
    """
    from engine.errors import UserError
    from engine.text import one_line

    if given is None:
        if model.arch == "residual-mlp":
            return (channels or 4,)
        size = image_size or (224 if model.arch == "resnet" and model.stem == "imagenet" else 32)
        return (channels or 3, size, size)
    parts = given.lower().replace("×", "x").split("x")
    if not (
        len(parts) in {1, 3} and all(part.isascii() and part.isdecimal() and int(part[:6]) >= 1 for part in parts)
    ):
        raise UserError(
            f"--input {one_line(given)!r}: write channels x height x width, such as 3x224x224, or a number of "
            "features, such as 4; all at least 1"
        )
    shape = tuple(int(part) for part in parts)
    if max(shape) > 65_536:
        raise UserError(f"--input {one_line(given)!r}: allowed: at most 65536 in each direction")
    return shape


def _explain(table: ShapeTable, name: str) -> None:
    from engine.config_file import nearest
    from engine.errors import UserError
    from engine.shapes.explain import explain
    from engine.shapes.groups import within
    from engine.text import one_line
    from resnet_tui.printing.console import on_stdout
    from resnet_tui.printing.facts import print_facts

    rows = within(table.rows, name)
    if not rows:
        known = [row.name for row in table.rows]
        parts = dict.fromkeys(".".join(name.split(".")[:n]) for name in known for n in range(1, name.count(".") + 2))
        raise UserError(
            f"--explain {one_line(name)!r}: nothing has this name{nearest(name, parts)} "
            "(--detail operations lists all)"
        )
    print_facts(on_stdout(None), [("row", name), *explain(rows, table.batch_size)])


def _print_json(table: ShapeTable, config: RunConfig, detail: Detail) -> None:
    from engine.shapes.groups import grouped
    from engine.shapes.table import training_memory

    memory = training_memory(table, config.optim.name, config.optim.momentum)
    print(
        json_module.dumps(
            {
                "network": config.model.title,
                "input": table.input,
                "batch_size": table.batch_size,
                "rows": [asdict(row) for row in grouped(table.rows, detail)],
                "totals": {
                    "params": table.params,
                    "trainable_params": table.trainable_params,
                    "buffers": table.buffers,
                    "macs": table.macs,
                    "flops": table.flops,
                    "activation_bytes": table.activation_bytes,
                },
                "training_memory_bytes": asdict(memory) | {"total": memory.total},
                "failure": asdict(table.failure) if table.failure is not None else None,
            },
            indent=2,
            ensure_ascii=False,
        )
    )


def _print_csv(table: ShapeTable, detail: Detail) -> None:
    from engine.events import ShapeRow
    from engine.shapes.groups import grouped

    names = [field.name for field in fields(ShapeRow)]
    writer = csv_module.writer(sys.stdout, lineterminator="\n")
    writer.writerow(names)
    for row in grouped(table.rows, detail):
        values = (getattr(row, name) for name in names)
        writer.writerow(["x".join(map(str, value)) if isinstance(value, tuple) else value for value in values])
