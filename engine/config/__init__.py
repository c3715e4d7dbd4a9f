"""What a run is: one validated value, a table each for its parts.

Fractions are fractions (accuracy 0.95, not 95); lengths are in epochs, steps or seconds as the name says.
Reading files, merging flags and wording the errors is ``config_file``'s work. Imports no torch.
"""

from engine.config.model import (
    ARCHITECTURES,
    Block,
    DenseNetConfig,
    HighwayConfig,
    InceptionResNetConfig,
    ModelConfig,
    ResidualMlpConfig,
    ResNetConfig,
    Shortcut,
    Stem,
    as_flags,
)
from engine.config.run import (
    DataConfig,
    DatasetName,
    Normalisation,
    OptimConfig,
    Precision,
    PruneConfig,
    RunConfig,
    ScheduleConfig,
    TelemetryConfig,
    TrainConfig,
    WeightsConfig,
)

__all__ = [
    "ARCHITECTURES",
    "Block",
    "DataConfig",
    "DatasetName",
    "DenseNetConfig",
    "HighwayConfig",
    "InceptionResNetConfig",
    "ModelConfig",
    "Normalisation",
    "OptimConfig",
    "Precision",
    "PruneConfig",
    "ResNetConfig",
    "ResidualMlpConfig",
    "RunConfig",
    "ScheduleConfig",
    "Shortcut",
    "Stem",
    "TelemetryConfig",
    "TrainConfig",
    "WeightsConfig",
    "as_flags",
]
