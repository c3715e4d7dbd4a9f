"""``resnet-tui eval``: loss, accuracy, accuracy a class and confusion matrix of weights that lie on disk."""

from __future__ import annotations

import json as json_module
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from resnet_tui.commands.options import Assignments, Flags, assigned
from resnet_tui.commands.train import RunsDir

if TYPE_CHECKING:
    from engine.evaluate_saved import SavedSplit, Which
    from engine.events import Evaluated
    from engine.run_dir import RunDir
    from engine.weights import Weights
    from engine.weights.carry import Carried

_EVALUATED = ("data.", "train.device", "train.precision", "train.eval_batch_size")
_DATASETS = {3: "iris", 10: "cifar10", 100: "cifar100"}
"""What weights with so many classes were most likely trained on."""


def evaluate(
    source: Annotated[
        str,
        typer.Argument(
            help="A run (its folder, its name, or last), a file of weights, or a name such as akamaster:resnet20.",
            metavar="SOURCE",
        ),
    ],
    checkpoint: Annotated[str | None, typer.Option(help="Of a run: best or last. [default: best]")] = None,
    split: Annotated[str, typer.Option(help="test or val.")] = "test",
    dataset: Annotated[
        str | None, typer.Option(help="Which data; without it, the run's, or what the number of classes suggests.")
    ] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where the dataset lies.")] = None,
    normalise: Annotated[
        str | None, typer.Option(help="How images are normalised; without it, as the weights were trained.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, mps, cuda, cuda:0, …")] = None,
    assignments: Assignments = None,
    allow_partial: Annotated[
        bool, typer.Option("--allow-partial", help="Let a file lack tensors or have too many; each is named.")
    ] = False,
    runs_dir: RunsDir = Path("runs"),
    json: Annotated[bool, typer.Option("--json", help="Print the scores as JSON.")] = False,
) -> None:
    """Evaluate the weights of a run, of a file, or published ones.

    Files are recognised by the names and shapes of their tensors: this program's own, torchvision,
    akamaster/pytorch_resnet_cifar10, chenyaofo/pytorch-cifar-models, kuangliu/pytorch-cifar, and the documents' code.
    """
    from engine import run_dir
    from engine.errors import UserError
    from engine.text import one_line

    if checkpoint not in {None, "best", "last"}:
        raise UserError(f"--checkpoint {checkpoint!r}: allowed: best, last")
    if split not in {"test", "val"}:
        raise UserError(f"--split {split!r}: allowed: test, val")
    which: Which = "last" if checkpoint == "last" else "best"
    saved_split: SavedSplit = "val" if split == "val" else "test"
    given = {
        "data.dataset": ("--dataset", dataset),
        "data.dir": ("--data-dir", data_dir),
        "data.normalise": ("--normalise", normalise),
        "train.device": ("--device", device),
    }
    flags: Flags = {key: pair for key, pair in given.items() if pair[1] is not None} | assigned(assignments)
    try:
        run = run_dir.find(runs_dir, source)
    except UserError:
        if checkpoint is not None:
            raise UserError(
                f"--checkpoint {checkpoint}: only a run has one; {one_line(source)!r} is no run"
            ) from None
        _evaluate_weights(source, runs_dir, flags, saved_split, allow_partial=allow_partial, json=json)
    else:
        foreign = [flag for key, (flag, _) in flags.items() if not key.startswith(_EVALUATED)]
        if foreign:
            raise UserError(
                f"{', '.join(foreign)}: a run is evaluated as it was trained; allowed: data.*, train.device, "
                "train.precision, train.eval_batch_size"
            )
        if allow_partial:
            raise UserError("--allow-partial: a run's checkpoint is complete; it is for files of weights")
        _evaluate_run(run, flags, which, saved_split, json=json)


def _evaluate_run(run: RunDir, flags: Flags, which: Which, split: SavedSplit, *, json: bool) -> None:
    from engine.config_file import build_config, read_toml

    config = build_config(read_toml(run.config_file), flags, str(run.config_file))

    from engine.data import sources
    from engine.evaluate_saved import evaluate_run, precision
    from resnet_tui.printing.progress import shown

    sources.check(config.data)
    scores, classes = shown(evaluate_run(run, config, which, split))
    if json:
        origin = {"run": run.name, "checkpoint": which, "epoch": scores.epoch, "precision": precision(config)}
        print(json_module.dumps(origin | _as_json(scores, classes)))
    else:
        from resnet_tui.printing.scores import print_scores

        facts = [("precision", precision(config))]
        print_scores(scores, classes, f"{run.name}, {which} checkpoint (epoch {scores.epoch})", facts)


def _evaluate_weights(
    source: str, runs: Path, flags: Flags, split: SavedSplit, *, allow_partial: bool, json: bool
) -> None:
    from engine.config_file import build_config
    from engine.data import sources
    from engine.evaluate_saved import evaluate_weights, precision
    from engine.text import one_line
    from engine.weights import load_weights
    from resnet_tui.printing.progress import shown

    weights = shown(load_weights(source, runs))
    # Published figures are of float32; a run's own are of what it was trained in.
    config = build_config({"data": _data_of(weights, flags), "train": {"precision": "float32"}}, flags)
    sources.check(config.data)
    scores, classes, carried = shown(evaluate_weights(weights, config, split, allow_partial=allow_partial))
    if json:
        print(
            json_module.dumps(
                _origin(weights, carried, config.data.normalise, precision(config)) | _as_json(scores, classes)
            )
        )
    else:
        from resnet_tui.printing.scores import print_scores

        print_scores(
            scores, classes, one_line(source), _facts(weights, carried, config.data.normalise, precision(config))
        )


def _data_of(weights: Weights, flags: Flags) -> dict[str, Any]:
    """Return what is known, or likely, about the data that the weights were trained on.

    Raises:
        UserError: it is neither known nor said by a flag.
    """
    from engine.errors import UserError
    from engine.text import one_line

    data: dict[str, Any] = {
        "dataset": weights.dataset or _DATASETS.get(weights.classes),
        "image_size": weights.image_size,
        "normalise": weights.normalise,
    }
    if data["dataset"] is None and "data.dataset" not in flags:
        raise UserError(
            f"{one_line(weights.source)} tells {weights.classes} classes apart; say on which data: --dataset "
            "imagefolder --data-dir FOLDER"
        )
    if weights.model.arch != "residual-mlp" and data["normalise"] is None and "data.normalise" not in flags:
        raise UserError(
            f"{one_line(weights.source)} ({weights.layout}) does not say how its training images were normalised; "
            "say it with --normalise cifar10, cifar100, imagenet, half, pixel-mean or unit"
        )
    return {key: value for key, value in data.items() if value is not None}


def _facts(weights: Weights, carried: Carried, normalise: str, precision: str) -> list[tuple[str, str]]:
    from engine.text import one_line
    from engine.weights.carry import listed

    facts = [
        ("network", f"{weights.model.title}, {weights.classes} classes"),
        ("layout", weights.layout),
        ("loaded", f"{len(carried.loaded)} tensors; sha256 {weights.sha256[:16]}…"),
    ]
    if carried.missing:
        facts.append(("missing", f"random instead: {listed(carried.missing)}"))
    if carried.left_out:
        facts.append(("left out", listed(carried.left_out)))
    if weights.model.arch != "residual-mlp":
        facts.append(("normalised", one_line(normalise)))
    return [*facts, ("precision", precision)]


def _origin(weights: Weights, carried: Carried, normalise: str, precision: str) -> dict[str, Any]:
    return {
        "source": weights.source,
        "network": weights.model.title,
        "model": weights.model.model_dump(mode="json"),
        "layout": weights.layout,
        "sha256": weights.sha256,
        "normalise": normalise,
        "precision": precision,
        "loaded": len(carried.loaded),
        "missing": carried.missing,
        "left_out": carried.left_out,
    }


def _as_json(scores: Evaluated, classes: tuple[str, ...]) -> dict[str, Any]:
    return {
        "split": scores.split,
        "images": scores.images,
        "loss": scores.loss if math.isfinite(scores.loss) else None,
        "accuracy": scores.accuracy,
        "top5": scores.top5,
        "per_class": {
            name: value if math.isfinite(value) else None
            for name, value in zip(classes, scores.per_class, strict=True)
        },
        "confusion": scores.confusion,
    }
