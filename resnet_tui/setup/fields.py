"""Every setting as one line of a table: what it is called in the form, and when it has a meaning.

What a setting is, its range, choices and description come from the configuration's classes.
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, get_args, get_origin

import annotated_types
from pydantic.fields import FieldInfo

from engine.config import ARCHITECTURES, RunConfig
from engine.config.base import Part, descriptions
from engine.text import one_line

Value = Callable[[str], Any]
"""Looks up what a setting is now, by its dotted key; None for an option that the architecture has not."""
Shown = Callable[[Value], bool]
Kind = Literal["choice", "depth", "number", "numbers", "text"]
PRESET = "preset"
"""Key of the field that says where everything begins; no setting."""


def _always(value: Value) -> bool:  # noqa: ARG001 (one signature for all)
    return True


def _only(key: str, *allowed: object) -> Shown:
    return lambda value: value(key) in allowed


def _images(value: Value) -> bool:
    return bool(value("data.dataset") != "iris")


def _above_zero(key: str) -> Shown:
    """Whether a number is given that is not zero; also while it is typed."""
    return lambda value: str(value(key)).strip(" 0.") not in {"", "None"}


def _with_weights(value: Value) -> bool:
    return bool(value("weights.source"))


@dataclass(frozen=True)
class Field:
    """A setting in the form."""

    key: str
    label: str
    when: Shown = _always
    """Whether it has a meaning with the other settings as they are."""

    def shown(self, value: Value) -> bool:
        """Whether it is offered."""
        if self.key.startswith("model.") and info(self.key, str(value("model.arch"))) is None:
            return False
        return self.when(value)

    def kind(self, value: Value) -> Kind:
        """Return how it is edited."""
        if self.key in {PRESET, "train.device"}:
            return "choice"
        if self.key == "model.depth":
            return "depth"
        found = info(self.key, str(value("model.arch")))
        annotation = found.annotation if found is not None else str
        if annotation is bool or get_origin(annotation) is Literal:
            return "choice"
        if get_origin(annotation) is tuple:
            return "numbers"
        return "number" if annotation in {int, float} else "text"

    def choices(self, value: Value) -> tuple[Any, ...]:
        """Return the values of a choice that do not depend on presets or the machine."""
        if self.key == "model.arch":
            return tuple(ARCHITECTURES)
        found = info(self.key, str(value("model.arch")))
        if found is None:
            return ()
        return (False, True) if found.annotation is bool else get_args(found.annotation)

    def help(self, value: Value) -> str:
        """Return what it means and what it may be, in one line."""
        if self.key == PRESET:
            return "Where every setting begins"
        if self.key == "model.arch":
            return one_line(ARCHITECTURES[str(value("model.arch"))].__doc__ or "")
        arch = str(value("model.arch"))
        found, part = info(self.key, arch), _part(self.key, arch)
        if found is None or part is None:
            return ""
        text = one_line(descriptions(part).get(self.key.rpartition(".")[2], "")).rstrip(".")
        limits = _range(found)
        return f"{text} ({limits})" if text and limits else text or limits


@dataclass(frozen=True)
class Group:
    """Fields under a heading."""

    title: str
    fields: tuple[Field, ...]
    folded: bool = False
    """Whether it is closed at first."""


GROUPS = (
    Group("", (Field(PRESET, "start from"),)),
    Group(
        "Network",
        (
            Field("model.arch", "architecture"),
            Field("model.depth", "depth"),
            Field("model.block", "block"),
            Field("model.shortcut", "shortcut"),
            Field("model.stem", "stem"),
            Field("model.stages", "stages"),
            Field("model.growth", "growth"),
            Field("model.variant", "variant"),
            Field("model.blocks", "blocks A, B, C"),
            Field("model.widths", "widths"),
            Field("model.width", "width"),
            Field("model.preactivation", "pre-activation"),
            Field("model.gate_bias", "gate bias"),
            Field("model.scale", "residual scale"),
        ),
    ),
    Group(
        "Data",
        (
            Field("data.dataset", "dataset"),
            Field("data.dir", "folder", _only("data.dataset", "cifar10", "cifar100", "imagefolder")),
            Field("data.image_size", "image size", _only("data.dataset", "imagefolder", "synthetic")),
            Field("data.synthetic_size", "images", _only("data.dataset", "synthetic")),
            Field("data.synthetic_classes", "classes", _only("data.dataset", "synthetic")),
            Field("data.val_size", "validation"),
            Field("data.normalise", "normalise", _images),
        ),
    ),
    Group(
        "Training",
        (
            Field("train.epochs", "epochs"),
            Field("train.batch_size", "batch size"),
            Field("train.device", "device"),
            Field("train.precision", "precision"),
            Field("train.seed", "seed"),
        ),
    ),
    Group(
        "Optimiser",
        (
            Field("optim.name", "optimiser"),
            Field("optim.lr", "learning rate"),
            Field("optim.momentum", "momentum", _only("optim.name", "sgd")),
            Field("optim.nesterov", "Nesterov", _only("optim.name", "sgd")),
            Field("optim.betas", "betas", _only("optim.name", "adam", "adamw")),
            Field("optim.weight_decay", "weight decay"),
        ),
    ),
    Group(
        "Schedule",
        (
            Field("schedule.name", "schedule"),
            Field("schedule.milestones", "milestones", _only("schedule.name", "multistep")),
            Field("schedule.gamma", "gamma", _only("schedule.name", "multistep")),
            Field("schedule.peak", "peak at", _only("schedule.name", "onecycle")),
            Field("schedule.final", "final", _only("schedule.name", "cosine", "onecycle")),
            Field("schedule.warmup_epochs", "warm-up epochs"),
            Field("schedule.warmup", "warm-up", _above_zero("schedule.warmup_epochs")),
            Field(
                "schedule.warmup_start",
                "start at",
                lambda value: value("schedule.name") == "onecycle" or _above_zero("schedule.warmup_epochs")(value),
            ),
        ),
    ),
    Group(
        "Augmentation",
        (
            Field("data.crop_padding", "random crop", _images),
            Field("data.flip", "flip", _images),
            Field("data.cutout", "cutout", _images),
            Field("data.mixup", "mixup"),
        ),
    ),
    Group(
        "More settings",
        (
            Field("name", "run's name"),
            Field("weights.source", "begin with"),
            Field("weights.stem", "its stem", _with_weights),
            Field("weights.head", "its head", _with_weights),
            Field("weights.allow_partial", "allow partial", _with_weights),
            Field("weights.lr_factor", "its rate ×", _with_weights),
            Field("weights.frozen_epochs", "frozen epochs", _with_weights),
            Field("prune.amount", "prune"),
            Field("prune.after_epochs", "prune after", _above_zero("prune.amount")),
            Field("train.label_smoothing", "smooth labels"),
            Field("train.ema_decay", "EMA decay"),
            Field("optim.clip_norm", "clip norm"),
            Field("optim.accumulate", "batch in parts"),
            Field("optim.decay_norm_and_bias", "decay all"),
            Field("train.target_accuracy", "stop at"),
            Field("train.early_stopping", "patience"),
            Field("train.eval_batch_size", "test batch"),
            Field("train.processes", "processes"),
            Field("train.fused", "fused norms"),
            Field("train.compile", "compile"),
            Field("train.deterministic", "deterministic"),
            Field("train.checkpoint_every_steps", "save each steps"),
            Field("data.residence", "data in"),
            Field("data.workers", "workers"),
            Field("telemetry.every_steps", "measure each"),
            Field("telemetry.gradient_norms", "gradients"),
            Field("telemetry.system_seconds", "system each s"),
            Field("telemetry.table_every_epochs", "table each"),
            Field("telemetry.tensorboard", "TensorBoard"),
        ),
        folded=True,
    ),
)
FIELDS = {field.key: field for group in GROUPS for field in group.fields}


@lru_cache(None)
def info(key: str, arch: str) -> FieldInfo | None:
    """Return the declaration of a setting; None where the architecture ``arch`` has no such option."""
    part = _part(key, arch)
    return part.model_fields.get(key.rpartition(".")[2]) if part is not None else None


def _part(key: str, arch: str) -> type[Part] | None:
    """Return the table that holds a setting."""
    section = key.rpartition(".")[0]
    if section == "model":
        return ARCHITECTURES.get(arch)
    part = RunConfig.model_fields[section].annotation if section else RunConfig
    return part if isinstance(part, type) and issubclass(part, Part) else None


_LIMITS: tuple[tuple[type, Callable[[Any], Any], str], ...] = (
    (annotated_types.Ge, operator.attrgetter("ge"), "from {:,}"),
    (annotated_types.Gt, operator.attrgetter("gt"), "above {:,}"),
    (annotated_types.Le, operator.attrgetter("le"), "to {:,}"),
    (annotated_types.Lt, operator.attrgetter("lt"), "below {:,}"),
)
_HUGE = 2**62


def _range(found: FieldInfo) -> str:
    """Return the limits of a number, such as ``from 1 to 10,000``; nothing where it has none."""
    words = []
    for kind, limit, text in _LIMITS:
        words += [
            text.format(limit(bound)) for bound in found.metadata if isinstance(bound, kind) and limit(bound) < _HUGE
        ]
    return " ".join(words)
