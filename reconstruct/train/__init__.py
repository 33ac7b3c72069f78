"""Training splats on posed photos.

| key type | where |
|---|---|
| `TrainConfig`, `PRESETS` | config.py |
| `train_splats` -> `TrainResult` | loop.py |
| `SplatTable`: the splats as rows that strategies edit | table.py |
| `Strategy`: how many splats, and where | strategies/ |
| `TrainObserver`, `Watched`: a training looked at from outside | observe.py |
| `remove_floaters`: what is taken out at the end | floaters.py |
| `StepBackend`: one training step | backends/ |
| `Checkpoint` | checkpoint.py |
"""

from .config import (
    PRESETS,
    ClassicConfig,
    DropoutConfig,
    FastConfig,
    FloaterConfig,
    LearningRates,
    McmcConfig,
    ResolutionConfig,
    Start,
    TrainConfig,
)
from .loop import TrainingDivergedError, TrainResult, train_splats
from .observe import Box, TrainObserver, Watched

__all__ = [
    "PRESETS",
    "Box",
    "ClassicConfig",
    "DropoutConfig",
    "FastConfig",
    "FloaterConfig",
    "LearningRates",
    "McmcConfig",
    "ResolutionConfig",
    "Start",
    "TrainConfig",
    "TrainObserver",
    "TrainResult",
    "TrainingDivergedError",
    "Watched",
    "train_splats",
]
