"""What a person is told when a run begins and when it has ended, as (label, text) pairs."""

import shlex
from pathlib import Path

from engine import words
from engine.epochs import EpochRow
from engine.events import ControlApplied, Evaluated
from engine.summary import RunSummary
from engine.text import one_line

Facts = list[tuple[str, str]]

DEFAULT_RUNS = Path("runs")
"""Where runs lie unless --runs-dir says otherwise; there a run's name is enough to find it."""


def opening(summary: RunSummary, path: Path | None) -> Facts:
    """Return what is about to be trained, on what, and where it is kept."""
    config = summary.config
    if config is None:
        return []
    images = f"{summary.train_images:,} training, "
    images += f"{summary.val_images:,} validation, " if summary.val_images else ""
    steps = f"{summary.epochs} epochs of {summary.steps_per_epoch:,} steps, batch {config.train.batch_size:,}"
    facts = [
        ("network", f"{words.network(config)}: {summary.params:,} parameters"),
        ("data", (f"{config.data.dataset}: {images}{summary.test_images:,} test images, "
                 f"{len(summary.classes)} classes")),
        ("device", f"{one_line(summary.device)}, {one_line(summary.precision)}"),
        ("training", f"{steps}, {config.optim.name}, seed {config.train.seed}"),
    ]  # fmt: skip
    if path is not None:
        facts.append(("run", one_line(str(path))))
    if summary.resumed_at is not None:
        best = summary.best()
        so_far = f"; best so far {_reached(summary, best)}" if best else ""
        facts.append(("resumed", f"after step {summary.resumed_at:,} of {summary.total_steps:,}{so_far}"))
    return facts


def closing(summary: RunSummary, path: Path | None) -> Facts:
    """Return how the run ended, what it reached, and where everything lies."""
    facts: Facts = [(summary.state, one_line(summary.reason))]
    if summary.config is not None and summary.target_missed:
        facts.append(("target", f"missed: {words.percent(summary.config.train.target_accuracy)} was not reached"))
    if summary.rows:
        facts += _accuracies(summary, summary.rows[-1])
    if summary.params:
        facts.append(("parameters", f"{summary.params:,}"))
    if summary.training_seconds:
        facts.append(("time", _time(summary)))
    if path is not None:
        facts.append(("run", one_line(str(path))))
        if summary.outcome in {"stopped", "failed"} and summary.checkpoint_step is not None:
            facts.append(("resume", resume_command(path)))
    return facts


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


def _accuracies(summary: RunSummary, last: EpochRow) -> Facts:
    facts = [("last accuracy", _reached(summary, last))]
    chosen, best_test, error = summary.best(), summary.best("test"), summary.average_error
    by_test = summary.choosing_split == "test"
    if chosen:
        why = "the highest test accuracy of all epochs" if by_test else "chosen by validation"
        facts.append(("best accuracy", f"{_reached(summary, chosen)}: {why}"))
    if best_test and not by_test:
        facts.append((
            "best test",
            (f"{words.percent(best_test.test_accuracy)} at epoch {best_test.epoch}: "
            "the highest of all epochs, picked by looking at the test set"),
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
