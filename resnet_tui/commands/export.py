"""``resnet-tui export``: weights, or the numbers that a run logged, in files for other programs."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resnet_tui.commands.train import RunsDir

if TYPE_CHECKING:
    from engine.weights import Weights

_WEIGHTS = {"safetensors": ".safetensors", "onnx": ".onnx"}
_NUMBERS = {"tensorboard": "", "csv": ".csv", "json": ".json"}
_SUFFIXES = _WEIGHTS | _NUMBERS
_LOGDIR = Path("tensorboard")
"""Holds a folder a run, so that TensorBoard compares all that were exported."""


def export(
    source: Annotated[
        str,
        typer.Argument(
            help="A run (its folder, its name, or last); of weights also a file, or a name such as "
            "akamaster:resnet20.",
            metavar="SOURCE",
        ),
    ],
    file_format: Annotated[
        str,
        typer.Option("--format", help="Weights: safetensors, onnx. A run's numbers: tensorboard, csv, json."),
    ] = "safetensors",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The file, for tensorboard the folder. [default: named by the network or the run, here; "
            "tensorboard/RUN]",
        ),
    ] = None,
    checkpoint: Annotated[str | None, typer.Option(help="Of a run: best or last. [default: best]")] = None,
    input_shape: Annotated[
        str | None, typer.Option("--input", help="For onnx: the size of one image.", metavar="CxHxW")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    runs_dir: RunsDir = Path("runs"),
) -> None:
    """Write weights as safetensors or ONNX, or all numbers that a run logged for TensorBoard, as CSV or JSON.

    The safetensors file says in its header what network it is, for which classes, and how its images are normalised;
    `resnet-tui eval` and `--weights` read it. The ONNX network takes normalised images in batches of any size; it is
    run beside PyTorch before it is written, and refused where the logits differ.

    Numbers are named group/name, such as test/accuracy or gradients/stem. CSV has a line for each: name, step, epoch,
    time, value. JSON has a list of steps, epochs, times and values under each name. What a resumed run did again
    counts once.
    """
    _check_options(file_format, checkpoint, input_shape)
    if output is not None:
        _check_output(output, file_format, force=force)
    if file_format in _NUMBERS:
        _export_numbers(source, file_format, output, runs_dir, force=force)
    else:
        _export_weights(source, file_format, output, checkpoint, input_shape, runs_dir, force=force)


def _check_options(file_format: str, checkpoint: str | None, input_shape: str | None) -> None:
    from engine.config_file import nearest
    from engine.errors import UserError
    from engine.text import one_line

    if file_format not in _SUFFIXES:
        allowed = ", ".join(_SUFFIXES)
        raise UserError(f"--format {one_line(file_format)!r}: allowed: {allowed}{nearest(file_format, _SUFFIXES)}")
    if checkpoint not in {None, "best", "last"}:
        raise UserError(f"--checkpoint {one_line(str(checkpoint))!r}: allowed: best, last")
    if checkpoint is not None and file_format in _NUMBERS:
        raise UserError(
            f"--checkpoint {checkpoint}: only weights have one; {file_format} holds a whole run's numbers"
        )
    if input_shape is not None and file_format != "onnx":
        raise UserError(f"--input {one_line(input_shape)!r}: only --format onnx has an input of a given size")


def _check_output(path: Path, file_format: str, *, force: bool) -> None:
    """Refuse what could not be written, before minutes are spent on it."""
    from engine.errors import UserError
    from engine.text import one_line
    from resnet_tui.printing.output import check_output

    if file_format == "tensorboard":
        if path.exists() and not path.is_dir():
            raise UserError(f"--output {one_line(str(path))}: a file; TensorBoard reads folders, so give one")
        return
    check_output(path, force=force)
    if path.suffix in {*_SUFFIXES.values()} - {"", _SUFFIXES[file_format]}:
        raise UserError(
            f"--output {one_line(str(path))}: the format is {file_format}; let the name end in "
            f"{_SUFFIXES[file_format]}, or give --format"
        )


def _check_free(path: Path, *, force: bool) -> None:
    from engine.errors import UserError
    from engine.text import one_line

    if path.exists() and not force:
        raise UserError(f"{one_line(str(path))}: there is such a file; give a name with --output, or --force")


# Numbers -------------------------------------------------------------------------------------------------------


def _export_numbers(source: str, file_format: str, output: Path | None, runs: Path, *, force: bool) -> None:
    from engine import run_dir
    from engine.errors import UserError
    from engine.export_scalars import export_csv, export_event_file, export_json
    from engine.scalars import LoggedScalars
    from engine.text import one_line

    run = run_dir.find(runs, source)
    name = run.path.resolve().name
    logged = LoggedScalars(run.events)
    if next(iter(logged), None) is None:
        raise UserError(f"run {run.name} has logged no numbers, so there is nothing to export")
    if file_format == "tensorboard":
        path = _event_file(output or _LOGDIR / name, name)
    else:
        path = output or Path(f"{name}{_NUMBERS[file_format]}")
    _check_free(path, force=force)
    if file_format == "tensorboard":
        path.parent.mkdir(parents=True, exist_ok=True)
        export_event_file(logged, path)
        advice = f"; look at them with: tensorboard --logdir {one_line(shlex.quote(str(output or _LOGDIR)))}"
    else:
        advice = ""
        export_csv(logged, path) if file_format == "csv" else export_json(logged, name, path)
    damaged = f"; {logged.damaged} damaged lines of its log were passed over" if logged.damaged else ""
    print(f"{one_line(str(path))}: {logged.numbers:,} numbers of run {run.name}{damaged}{advice}")


def _event_file(folder: Path, run: str) -> Path:
    """Return where the run's event file goes; TensorBoard would mix it with another one in the same folder."""
    from engine.errors import UserError
    from engine.event_file import NAME
    from engine.text import one_line

    path = folder / f"{NAME}{run}"
    for other in folder.iterdir() if folder.is_dir() else ():
        if other.name.startswith(f".{path.name}."):
            other.unlink()  # half a file, of an export that was killed
        elif NAME in other.name and other != path:
            raise UserError(
                f"{one_line(str(folder))} holds another event file ({one_line(other.name)}), with which TensorBoard "
                "would mix this one; give a folder of its own with --output"
            )
    return path


# Weights -------------------------------------------------------------------------------------------------------


def _export_weights(
    source: str,
    file_format: str,
    output: Path | None,
    checkpoint: str | None,
    input_shape: str | None,
    runs: Path,
    *,
    force: bool,
) -> None:
    from engine.text import one_line
    from engine.weights import load_weights
    from resnet_tui.printing.progress import shown

    weights = shown(load_weights(source, runs, "last" if checkpoint == "last" else "best"))
    _check_complete(weights)
    path = output or Path(f"{weights.model.slug}{_WEIGHTS[file_format]}")
    _check_free(path, force=force)
    print(f"{one_line(str(path))}: {_write(weights, file_format, path, input_shape)}")


def _check_complete(weights: Weights) -> None:
    from engine.errors import UserError
    from engine.text import one_line
    from engine.weights.carry import listed

    if weights.missing or weights.left_out:
        missing, left_out = (listed(list(names)) or "nothing" for names in (weights.missing, weights.left_out))
        raise UserError(
            f"{one_line(weights.source)} is no complete {weights.model.title}: missing: {missing}; without a place "
            f"in it: {left_out}; give the file of a whole network"
        )


def _write(weights: Weights, file_format: str, path: Path, input_shape: str | None) -> str:
    """Write the file and say what it holds."""
    from engine.export import export_onnx, export_safetensors

    what = (
        f"{weights.model.title}, {weights.classes} classes, images normalised as {weights.normalise or 'not known'}"
    )
    if file_format == "safetensors":
        export_safetensors(weights, path)
        return f"{len(weights.tensors)} tensors of {what}"
    from resnet_tui.commands.shapes import input_of

    shape = input_of(input_shape, weights.model, weights.channels)
    _check_input(weights, shape)
    compared = export_onnx(weights, shape, path)
    return (
        f"{what}; run beside PyTorch: logits differ by at most {compared.difference:.2g} "
        f"(the largest is {compared.largest:.3g})"
    )


def _check_input(weights: Weights, shape: tuple[int, ...]) -> None:
    from engine.errors import UserError
    from engine.shapes.formula import shape_text
    from engine.shapes.trace import shape_table

    features = weights.model.arch == "residual-mlp"
    if len(shape) != (1 if features else 3) or shape[0] != weights.channels:
        wanted = f"{weights.channels}" if features else f"{weights.channels}xHxW, such as {weights.channels}x32x32"
        raise UserError(f"--input {shape_text(shape)}: {weights.model.title} takes {wanted}")
    failure = shape_table(weights.model, shape, weights.classes, 1).failure
    if failure is not None:
        raise UserError(
            f"--input {shape_text(shape)}: {weights.model.title} does not fit: {failure.name} ({failure.op}): "
            f"{failure.reason}; give a larger --input"
        )
