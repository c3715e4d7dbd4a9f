"""What a person is told when a run begins and when it has ended, as (label, text) pairs."""

import shlex
from pathlib import Path
from statistics import median

from engine import words
from engine.config import WeightsConfig
from engine.epochs import EpochRow
from engine.events import ControlApplied, Evaluated, Pruned, WeightsLoaded
from engine.run_dir import DEFAULT_RUNS
from engine.summary import RunSummary
from engine.text import one_line

Facts = list[tuple[str, str]]


def opening(summary: RunSummary, path: Path | None) -> Facts:
    """Return what is about to be trained, on what, and where it is kept."""
    config = summary.config
    if config is None:
        return []
    images = f"{summary.train_images:,} training, "
    images += f"{summary.val_images:,} validation, " if summary.val_images else ""
    epochs = "1 epoch" if summary.epochs == 1 else f"{summary.epochs} epochs"
    steps = f"{epochs} of {summary.steps_per_epoch:,} steps, batch {config.train.batch_size:,}"
    noun = "rows" if config.model.arch == "residual-mlp" else "images"
    facts = [
        ("network", f"{words.network(config)}: {summary.params:,} parameters"),
        ("data", (f"{config.data.dataset}: {images}{summary.test_images:,} test {noun}, "
                 f"{len(summary.classes)} classes")),
        ("device", f"{one_line(summary.device)}, {one_line(summary.precision)}"),
        ("training", f"{steps}, {config.optim.name}, seed {config.train.seed}"),
    ]  # fmt: skip
    if summary.weights is not None:
        facts.append(("weights", weights(summary.weights, config.weights)))
    if path is not None:
        facts.append(("run", one_line(str(path))))
    if summary.resumed_at is not None:
        best = summary.best(by_step=summary.resumed_at)
        so_far = f"; best so far {_reached(summary, best)}" if best else ""
        facts.append(("resumed", f"after step {summary.resumed_at:,} of {summary.total_steps:,}{so_far}"))
    return facts


def closing(summary: RunSummary, path: Path | None, *, say_resume: bool = True) -> Facts:
    """Return how the run ended, what it reached, and where everything lies.

    Args:
        summary: the whole run.
        path: its folder.
        say_resume: whether to name the command that goes on with one that was stopped.
    """
    facts: Facts = [(summary.state, one_line(summary.reason))]
    if summary.config is not None and summary.target_missed:
        facts.append(("target", f"missed: {words.percent(summary.config.train.target_accuracy)} was not reached"))
    if summary.rows:
        facts += _accuracies(summary, summary.rows[-1])
    if summary.params:
        facts.append(("parameters", f"{summary.params:,}"))
    if summary.config is not None and summary.config.prune.amount:
        facts += _pruned(summary, summary.config.prune.after_epochs)
    if summary.training_seconds:
        facts.append(("time", _time(summary)))
    if summary.rank_speeds:
        facts.append(("ranks", words.ranks(summary.rank_speeds)))
    if path is not None:
        facts.append(("run", one_line(str(path))))
        if say_resume and summary.outcome in {"stopped", "failed"} and summary.checkpoint_step is not None:
            facts.append(("resume", resume_command(path)))
    return facts


def weights(event: WeightsLoaded, config: WeightsConfig) -> str:
    """Word what the run begins with, and every tensor that is not simply carried over."""
    text = f"{event.loaded:,} tensors of {event.network} ({event.layout}) from {event.source}"
    for what, names in (
        ("adapted", event.adapted),
        ("new as asked for", event.fresh),
        ("new because they are missing there", event.missing),
        ("left out", event.left_out),
    ):
        if names:
            text += f"; {what}: {', '.join(names)}"
    if config.lr_factor != 1:
        text += f"; learning rate ×{config.lr_factor:g} for what was carried over"
    if config.frozen_epochs:
        text += f"; what was carried over is frozen for {_count(config.frozen_epochs, 'epoch')}"
    return one_line(text, 4000)


def control(event: ControlApplied) -> str:
    """Word what a person changed."""
    value = "" if event.value is None else f" {event.value:g}"
    return f"{event.command.replace('_', ' ')}{value}, asked by {event.source}, at step {event.step:,}"


def evaluation(event: Evaluated) -> str:
    """Word an evaluation that stands by itself."""
    return (
        f"{event.split} at step {event.step:,}: loss {words.loss(event.loss)}, "
        f"accuracy {words.percent(event.accuracy)}"
    )


def pruning(event: Pruned) -> str:
    """Word what was pruned, with the parts that lost the smallest and the largest share."""
    shares = [(zeros / weights, part) for part, weights, zeros in event.parts]
    (least, least_part), (most, most_part) = min(shares), max(shares)
    return (
        f"pruned {words.percent(event.zeros / event.weights)} of {event.weights:,} weights before epoch "
        f"{event.epoch}, none larger than {event.threshold:.3g}: from {words.percent(least)} of {least_part} "
        f"to {words.percent(most)} of {most_part}; the best epoch is counted anew"
    )


def _pruned(summary: RunSummary, after_epochs: int) -> Facts:
    event = summary.pruned
    if event is None:
        return [("pruned", f"nothing: the run ended before epoch {after_epochs + 1}, at whose start it was due")]
    text = (
        f"{event.zeros:,} of {event.weights:,} weights of convolutions and linear layers are zero, "
        f"{event.weights - event.zeros:,} are left; all parameters compressed with zlib: "
        f"{words.size(event.compressed_before)} before, {words.size(event.compressed_after)} after; as many "
        "operations and no other speed, because dense kernels multiply zeros too"
    )
    before = [speed for epoch, speed in summary.evaluation_speeds.items() if epoch < event.epoch]
    after = [speed for epoch, speed in summary.evaluation_speeds.items() if epoch >= event.epoch]
    if before and after:
        text += (
            f"; evaluation measured at {words.speed(median(before))} images/s before (median of "
            f"{_count(len(before), 'epoch')}), {words.speed(median(after))} after ({_count(len(after), 'epoch')})"
        )
    facts = [("pruned", text)]
    if unpruned := [row for row in summary.rows if row.epoch < event.epoch]:
        best = max(unpruned, key=lambda row: row.accuracy(summary.choosing_split) or 0.0)
        facts.append(("before pruning", f"{_reached(summary, best)}: the best epoch of the unpruned network"))
    return facts


def _accuracies(summary: RunSummary, last: EpochRow) -> Facts:
    facts = [("last accuracy", _reached(summary, last))]
    chosen, best_test, error = summary.best(), summary.best("test"), summary.average_error
    by_test = summary.choosing_split == "test"
    since = " since the pruning" if summary.pruned else ""
    if chosen:
        why = f"the highest test accuracy of all epochs{since}" if by_test else f"chosen by validation{since}"
        facts.append(("best accuracy", f"{_reached(summary, chosen)}: {why}"))
    if best_test and not by_test:
        facts.append((
            "best test",
            (f"{words.percent(best_test.test_accuracy)} at epoch {best_test.epoch}: "
            f"the highest of all epochs{since}, picked by looking at the test set"),
        ))  # fmt: skip
    if error is not None:
        facts.append((
            "average error",
            (f"{words.percent(error)}, as the ResNet20 document defines it: the mean of 1 - test accuracy over "
            f"{'all ' if len(summary.rows) > 1 else ''}{_count(len(summary.rows), 'epoch')}, early ones included"),
        ))  # fmt: skip
    return facts


def _reached(summary: RunSummary, row: EpochRow) -> str:
    """Word the accuracies of one epoch, the choosing split's first."""
    val = f"{words.percent(row.val_accuracy)} validation, " if summary.choosing_split == "val" else ""
    test = f"{words.percent(row.test_accuracy)} test, " if row.test_accuracy is not None else ""
    return f"{val}{test}epoch {row.epoch}"


def _time(summary: RunSummary) -> str:
    evaluation = words.duration(summary.evaluation_seconds)
    return (
        f"{words.duration(summary.elapsed)}: training {words.duration(summary.training_seconds)} "
        f"at {words.speed(summary.images_per_second)} images/s, evaluation {evaluation}"
    )


def resume_command(path: Path) -> str:
    """Return the command that goes on with the run in ``path``: by its name where that is enough."""
    run = path.name if path.parent == DEFAULT_RUNS else str(path)
    return f"resnet-tui train --headless --resume {shlex.quote(one_line(run))}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
