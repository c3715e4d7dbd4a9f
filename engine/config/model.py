"""``[model]``: one class an architecture, each with the options that it has and no others.

``arch`` says which. What an option is when it is not given follows from the others, as in the paper: see each class.
"""

import json
import shlex
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from engine.config.base import Part, RuleError

MOST_LAYERS = 10_000
Depth = Annotated[int, Field(ge=1, le=MOST_LAYERS)]
Width = Annotated[float, Field(gt=0, le=32)]
Blocks = Annotated[int, Field(ge=1, le=100)]
Features = Annotated[int, Field(ge=1, le=65_536)]
Shortcut = Literal["A", "B", "C", "none"]
Stem = Literal["cifar", "stride2", "imagenet"]
Block = Literal["basic", "bottleneck"]

FOUR_STAGE_DEPTHS: dict[int, tuple[Block, tuple[int, int, int, int]]] = {
    18: ("basic", (2, 2, 2, 2)),
    34: ("basic", (3, 4, 6, 3)),
    50: ("bottleneck", (3, 4, 6, 3)),
    101: ("bottleneck", (3, 4, 23, 3)),
    152: ("bottleneck", (3, 8, 36, 3)),
}
"""Blocks of each stage (He et al. 2015, table 1)."""
_LAYERS_A_BLOCK: dict[Block, int] = {"basic": 2, "bottleneck": 3}


class ResNetConfig(Part):
    """Residual networks (He et al. 2015; pre-activation: He et al. 2016), and plain ones to compare them with."""

    arch: Literal["resnet"] = "resnet"
    depth: Depth = 20
    """Number of weighted layers. 18, 34, 50, 101, 152 mean the networks of four stages; every other depth, 6n+2 with
    basic blocks or 9n+2 with bottlenecks, those of three."""
    stages: Literal[3, 4] = 3
    """3: 16, 32, 64 channels, for CIFAR (section 4.2); 4: 64, 128, 256, 512 channels, for ImageNet (table 1)."""
    block: Block = "basic"
    """basic: two 3x3 convolutions; bottleneck: 1x1, 3x3, 1x1, the last with four times the channels."""
    shortcut: Shortcut = "A"
    """A: identity, zero-padded where the shape changes; B: 1x1 projection there; C: projection everywhere; none: a
    plain network. Not given: A for basic blocks in three stages, else B."""
    stem: Stem = "cifar"
    """cifar: 3x3; stride2: 3x3 with stride 2, a quarter of the work (the ResNet20 document's proposal); imagenet: 7x7
    with stride 2, then 3x3 max-pooling with stride 2."""
    width: Width = 1.0
    """Multiplies the channels of the stem and of every stage."""
    preactivation: bool = False
    """Norm and ReLU come before each convolution, and nothing follows the addition (He et al. 2016)."""

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, given: Any) -> Any:
        """Give the options that follow from the depth, where they are not given, their value."""
        if not isinstance(given, dict):
            return given
        try:
            depth = int(given.get("depth", 20))
        except (TypeError, ValueError, OverflowError):
            return given  # the field's own check says what is wrong
        four = depth in FOUR_STAGE_DEPTHS and given.get("block") in (None, FOUR_STAGE_DEPTHS[depth][0])
        filled: dict[str, Any] = {"stages": 4 if four else 3} | given
        if str(filled["stages"]) == "4" and depth in FOUR_STAGE_DEPTHS:
            filled = {"block": FOUR_STAGE_DEPTHS[depth][0], "shortcut": "B"} | filled
        elif filled.get("block") == "bottleneck":
            filled = {"shortcut": "B"} | filled
        return filled

    @model_validator(mode="after")
    def _depth_fits(self) -> Self:
        if self.stages == 4:
            allowed = [d for d, (block, _) in FOUR_STAGE_DEPTHS.items() if block == self.block]
            if self.depth not in allowed:
                names = ", ".join(map(str, allowed))
                raise RuleError(
                    f"depth = {self.depth}: a ResNet of four stages with {self.block} blocks has depth {names}; "
                    "three stages (stages = 3) have 6n+2 or, with bottlenecks, 9n+2",
                    "model.depth",
                )
            return self
        layers = 3 * _LAYERS_A_BLOCK[self.block]
        hint = ""
        if self.depth in FOUR_STAGE_DEPTHS:
            hint = f"; or stages = 4 for the ResNet-{self.depth} of four stages"
        what = "a CIFAR ResNet" if self.block == "basic" else "a CIFAR ResNet with bottleneck blocks"
        check_depth(self.depth, layers, 2, what, hint)
        return self

    @property
    def blocks(self) -> tuple[int, ...]:
        """Number of blocks in each stage."""
        if self.stages == 4:
            return FOUR_STAGE_DEPTHS[self.depth][1]
        return (((self.depth - 2) // (3 * _LAYERS_A_BLOCK[self.block])),) * 3

    @property
    def title(self) -> str:
        """The network in words, such as ``ResNet-20, shortcut A``."""
        name = f"plain-{self.depth}" if self.shortcut == "none" else f"ResNet-{self.depth}"
        facts = [f"pre-activation {name}" if self.preactivation else name]
        if self.stages == 3 and self.block == "bottleneck":
            facts.append("bottleneck blocks")
        if self.shortcut != "none":
            facts.append(f"shortcut {self.shortcut}")
        if self.stem != "cifar":
            facts.append({"stride2": "stride-2 stem", "imagenet": "ImageNet stem"}[self.stem])
        if self.width != 1:
            facts.append(f"width ×{self.width:g}")
        return ", ".join(facts)

    @property
    def slug(self) -> str:
        """The network in a file name, such as ``resnet20``."""
        kind = "plain" if self.shortcut == "none" else "preresnet" if self.preactivation else "resnet"
        return f"{kind}{self.depth}" + (f"x{self.width:g}" if self.width != 1 else "")


class HighwayConfig(Part):
    """Highway network: gates decide how much of its input a layer keeps (Srivastava et al. 2015)."""

    arch: Literal["highway"]
    depth: Depth = 32
    """Number of layers, 3n+2."""
    width: Width = 1.0
    """Multiplies the 16, 32 and 64 channels."""
    gate_bias: Annotated[float, Field(ge=-20, le=20)] = -2.0
    """Initial bias of the transform gates; below 0, layers pass their input on at first (section 2.2)."""

    @model_validator(mode="after")
    def _depth_fits(self) -> Self:
        check_depth(self.depth, 3, 2, "a highway network")
        return self

    @property
    def title(self) -> str:
        """The network in words."""
        return f"Highway-{self.depth}" + (f", width ×{self.width:g}" if self.width != 1 else "")

    @property
    def slug(self) -> str:
        """The network in a file name."""
        return f"highway{self.depth}" + (f"x{self.width:g}" if self.width != 1 else "")


class DenseNetConfig(Part):
    """DenseNet: every layer reads the outputs of all before it in its stage (Huang et al. 2017)."""

    arch: Literal["densenet"]
    depth: Depth = 40
    """Number of layers: 3n+4, with bottlenecks 6n+4."""
    growth: Annotated[int, Field(ge=1, le=512)] = 12
    """k: channels that each layer adds."""
    variant: Literal["plain", "bc"] = "plain"
    """bc: 1x1 bottlenecks of 4k channels before each 3x3 convolution, and transitions that halve the channels."""

    @model_validator(mode="after")
    def _depth_fits(self) -> Self:
        bc = self.variant == "bc"
        check_depth(self.depth, 6 if bc else 3, 4, "a DenseNet-BC" if bc else "a DenseNet")
        return self

    @property
    def title(self) -> str:
        """The network in words."""
        return f"DenseNet{'-BC' if self.variant == 'bc' else ''}-{self.depth}, k={self.growth}"

    @property
    def slug(self) -> str:
        """The network in a file name."""
        return f"densenet{'-bc' if self.variant == 'bc' else ''}{self.depth}k{self.growth}"


class InceptionResNetConfig(Part):
    """Inception-ResNet sized for 32x32 images, after Inception-ResNet-v1 (Szegedy et al. 2016)."""

    arch: Literal["inception-resnet"]
    blocks: tuple[Blocks, Blocks, Blocks] = (2, 3, 2)
    """Blocks of kind A, B and C; the paper has 5, 10 and 5."""
    width: Annotated[float, Field(ge=0.0625, le=32)] = 1.0
    """Multiplies all channels."""
    scale: Annotated[float, Field(gt=0, le=1)] = 0.2
    """What the residual is multiplied with before it is added (section 3.3: 0.1 to 0.3)."""

    @property
    def title(self) -> str:
        """The network in words."""
        blocks = "-".join(map(str, self.blocks))
        return f"Inception-ResNet {blocks}" + (f", width ×{self.width:g}" if self.width != 1 else "")

    @property
    def slug(self) -> str:
        """The network in a file name."""
        return f"inception-resnet{'-'.join(map(str, self.blocks))}" + (f"x{self.width:g}" if self.width != 1 else "")


class ResidualMlpConfig(Part):
    """Residual network of linear layers for rows of features, as the document "ResNet explained" has it for Iris."""

    arch: Literal["residual-mlp"]
    widths: Annotated[tuple[Features, ...], Field(min_length=2, max_length=100)] = (32, 32, 64)
    """Features after the stem and after each residual block."""

    @property
    def title(self) -> str:
        """The network in words."""
        return f"residual MLP {'-'.join(map(str, self.widths))}"

    @property
    def slug(self) -> str:
        """The network in a file name."""
        return f"residual-mlp{'-'.join(map(str, self.widths[:8]))}"


_FLAGS = {"shortcut", "block", "stem", "width"}
ARCHITECTURES: dict[str, type[Part]] = {
    "resnet": ResNetConfig,
    "highway": HighwayConfig,
    "densenet": DenseNetConfig,
    "inception-resnet": InceptionResNetConfig,
    "residual-mlp": ResidualMlpConfig,
}


def _arch_of(given: Any) -> Any:
    return str(given.get("arch", "resnet")) if isinstance(given, dict) else getattr(given, "arch", "resnet")


ModelConfig = Annotated[
    Annotated[ResNetConfig, Tag("resnet")]
    | Annotated[HighwayConfig, Tag("highway")]
    | Annotated[DenseNetConfig, Tag("densenet")]
    | Annotated[InceptionResNetConfig, Tag("inception-resnet")]
    | Annotated[ResidualMlpConfig, Tag("residual-mlp")],
    Discriminator(_arch_of),
]
"""The network; ``resnet`` where no ``arch`` is given."""


def as_flags(model: ModelConfig) -> str:
    """Write the flags of a command that give this network, such as ``--depth 32 --shortcut A``."""
    given = model.model_dump(mode="json")
    alone = {key: value for key, value in given.items() if key in {"arch", "depth"}}
    usual = type(model).model_validate(alone).model_dump(mode="json")
    flags = [f"--{key} {value}" for key, value in alone.items()]
    for key, value in given.items():
        if value != usual[key]:
            text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
            flags.append(f"--{key} {text}" if key in _FLAGS else f"--set {shlex.quote(f'model.{key}={text}')}")
    return " ".join(flags)


def check_depth(depth: int, layers: int, extra: int, what: str, hint: str = "") -> None:
    """Refuse a depth that is not ``layers`` * n + ``extra`` with n >= 1, naming the nearest that are.

    Raises:
        RuleError: it is not.
    """
    least = layers + extra
    if depth >= least and (depth - extra) % layers == 0:
        return
    below = max(least, depth - (depth - extra) % layers)
    nearest = " and ".join(str(near) for near in (below, below + layers) if near <= MOST_LAYERS)
    if depth <= least:
        nearest = f"{least}"
    series = ", ".join(str(layers * n + extra) for n in range(1, 5))
    raise RuleError(
        f"depth = {depth}: {what} has {layers}n+{extra} layers ({series}, …); the nearest allowed: {nearest}{hint}",
        "model.depth",
    )
