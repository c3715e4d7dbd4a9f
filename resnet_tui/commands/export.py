"""``resnet-tui export``: weights in files for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resnet_tui.commands.train import RunsDir

if TYPE_CHECKING:
    from engine.weights import Weights

_SUFFIXES = {"safetensors": ".safetensors", "onnx": ".onnx"}


def export(
    source: Annotated[
        str,
        typer.Argument(
            help="A run (its folder, its name, or last), a file of weights, or a name such as akamaster:resnet20.",
            metavar="SOURCE",
        ),
    ],
    file_format: Annotated[str, typer.Option("--format", help="safetensors or onnx.")] = "safetensors",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file. [default: the network's name, here]")
    ] = None,
    checkpoint: Annotated[str, typer.Option(help="Of a run: best or last.")] = "best",
    input_shape: Annotated[
        str | None, typer.Option("--input", help="For onnx: the size of one image.", metavar="CxHxW")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    runs_dir: RunsDir = Path("runs"),
) -> None:
    """Write the weights of a run, of a file, or published ones, as safetensors or ONNX.

    The safetensors file says in its header what network it is, for which classes, and how its images are normalised;
    `resnet-tui eval` and `--weights` read it. The ONNX network takes normalised images in batches of any size; it is
    run beside PyTorch before it is written, and refused where the logits differ.
    """
    from engine.config_file import nearest
    from engine.errors import UserError
    from engine.text import one_line

    if file_format not in _SUFFIXES:
        allowed = ", ".join(_SUFFIXES)
        raise UserError(f"--format {one_line(file_format)!r}: allowed: {allowed}{nearest(file_format, _SUFFIXES)}")
    if checkpoint not in {"best", "last"}:
        raise UserError(f"--checkpoint {one_line(checkpoint)!r}: allowed: best, last")
    if input_shape is not None and file_format != "onnx":
        raise UserError(f"--input {one_line(input_shape)!r}: only --format onnx has an input of a given size")
    if output is not None:
        _check_output(output, force=force)
        others = set(_SUFFIXES.values()) - {_SUFFIXES[file_format]}
        if output.suffix in others:
            raise UserError(
                f"--output {one_line(str(output))}: the format is {file_format}; let the name end in "
                f"{_SUFFIXES[file_format]}, or give --format"
            )

    from engine.weights import load_weights
    from resnet_tui.printing.progress import shown

    weights = shown(load_weights(source, runs_dir, "best" if checkpoint == "best" else "last"))
    _check_complete(weights)
    path = output or Path(f"{weights.model.slug}{_SUFFIXES[file_format]}")
    if output is None and path.exists() and not force:
        raise UserError(f"{path}: there is such a file; give a name with --output, or --force")
    print(f"{one_line(str(path))}: {_write(weights, file_format, path, input_shape)}")


def _check_output(path: Path, *, force: bool) -> None:
    """Refuse what could not be written, before minutes are spent on it."""
    from engine.errors import UserError
    from engine.text import one_line

    name = f"--output {one_line(str(path))}"
    try:
        if path.is_dir():
            raise UserError(f"{name}: a folder; give the name of a file")
        if not path.parent.is_dir():
            raise UserError(f"{name}: there is no folder {one_line(str(path.parent))}; make it first")
        if path.exists() and not path.is_file():
            raise UserError(f"{name}: a device or pipe, which a file would replace; give the name of a file")
        if path.exists() and not force:
            raise UserError(f"{name}: there is such a file; give another name, or --force")
    except OSError as error:
        raise UserError(f"{name}: {error.strerror}; give another name") from error


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
