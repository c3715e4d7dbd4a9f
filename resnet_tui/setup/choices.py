"""What a setting may be here: choices that depend on presets, on this machine, and on what else is chosen."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from engine import presets, words
from engine.config_file import Tree
from engine.errors import ConfigError
from engine.helper_messages import DeviceFacts
from engine.text import one_line
from resnet_tui.setup.depths import listed_depths
from resnet_tui.setup.draft import LAST_USED, Draft, as_text
from resnet_tui.setup.fields import PRESET, Field

_DATASETS = {
    "digits": "1,797 handwritten digits of 8×8, built in",
    "iris": "150 flowers, 4 features each, built in",
    "cifar10": "60,000 pictures of 32×32 in 10 classes, 163 MiB to download",
    "cifar100": "60,000 pictures of 32×32 in 100 classes, 161 MiB to download",
    "imagefolder": "your own pictures: a folder with train/ and test/, a folder a class",
    "synthetic": "made from the seed, to try things",
}
_ARCHITECTURES = {
    "resnet": "identity shortcuts; plain, wide and pre-activation ones too",
    "highway": "gates instead of shortcuts",
    "densenet": "every layer reads all before it",
    "inception-resnet": "blocks of several kernel sizes, and shortcuts",
    "residual-mlp": "linear layers, for rows of features such as iris",
}


class Option(NamedTuple):
    """A line of a list of choices."""

    value: Any
    label: str
    note: str = ""


class Choices:
    """Knows presets and devices."""

    def __init__(self, last_used: Tree | None) -> None:
        """``last_used``: what the last run began with; None: there was none."""
        self._last_used = last_used
        self.devices: tuple[DeviceFacts, ...] = ()
        """Of this machine, the best first; empty: not known yet."""

    def of(self, draft: Draft, field: Field) -> tuple[Any, ...]:
        """Return what ``field`` may be."""
        if field.key == PRESET:
            return (*([LAST_USED] if self._last_used is not None else []), *presets.names())
        if field.key == "train.device":
            return ("auto", *(device.name for device in self.devices)) if self.devices else ("auto", "cpu")
        if field.key == "train.precision":
            device = self.device(draft)
            return ("auto", *device.precisions) if device else field.choices(draft.value)
        if field.key == "model.depth":
            return tuple(listed_depths(lambda depth: draft.with_depth(depth) is not None))
        return field.choices(draft.value)

    @staticmethod
    def now(draft: Draft, field: Field) -> Any:
        """Return what ``field`` is."""
        return draft.origin if field.key == PRESET else draft.value(field.key)

    def tree(self, preset: str) -> Tree:
        """Return what a preset holds.

        Raises:
            ConfigError: there is none, or it is not TOML.
        """
        return self._last_used if preset == LAST_USED and self._last_used is not None else presets.load(preset)[0]

    def device(self, draft: Draft) -> DeviceFacts | None:
        """Return the device that the run would have; None: not known."""
        name = {"cuda": "cuda:0"}.get(wanted := str(draft.value("train.device")), wanted)
        if name == "auto":
            return self.devices[0] if self.devices else None
        return next((device for device in self.devices if device.name == name), None)

    def options(self, draft: Draft, field: Field) -> Iterator[Option]:
        """Yield the lines of a list of choices. Reads files: not for the interface's own thread."""
        for value in self.of(draft, field):
            yield Option(value, one_line(as_text(value)), self._note(draft, field, value))

    def _note(self, draft: Draft, field: Field, value: Any) -> str:
        match field.key:
            case "preset":
                return ("yours: " if value in presets.user_names() else "") + first_line(value)
            case "model.depth":
                config = draft.with_depth(value)
                return config.model.title if config is not None else ""
            case "model.arch":
                return _ARCHITECTURES.get(value, "")
            case "data.dataset":
                return _DATASETS.get(value, "")
            case "train.device":
                return self._device_note(value)
        return ""

    def _device_note(self, name: str) -> str:
        if name == "auto":
            return f"the best there is: {self.devices[0].name}" if self.devices else "the best there is"
        found = next((device for device in self.devices if device.name == name), None)
        return memory_words(found) if found is not None else ""


def memory_words(device: DeviceFacts) -> str:
    """Describe a device and its memory."""
    if device.free_bytes is None or device.total_bytes is None:
        return device.description
    return f"{device.description}, {words.size(device.free_bytes)} of {words.size(device.total_bytes)} free"


def first_line(preset: str) -> str:
    """Return the first line of what a preset says of itself; empty where it says nothing."""
    if preset == LAST_USED:
        return "the settings of the run that was started last"
    try:
        return one_line(presets.description(presets.locate(preset)).partition("\n")[0])
    except (ConfigError, OSError, ValueError):
        return ""
