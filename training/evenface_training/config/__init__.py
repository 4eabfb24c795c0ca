"""What a training run is told: one YAML file, checked by pydantic.

One module a section; ready-made files ship in `configs/`. Nothing here reads data or touches torch.
"""

from evenface_training.config.augmentation import AugmentationConfig
from evenface_training.config.compute import ComputeConfig
from evenface_training.config.data import DataConfig, FaceLabel, GroupKey
from evenface_training.config.files import load_config, ready_made
from evenface_training.config.loss import LossConfig, Reconstruction, Reduction
from evenface_training.config.model import ArchitectureName, Kind, ModelConfig
from evenface_training.config.optimizer import OptimizerConfig
from evenface_training.config.resampling import ResamplingConfig
from evenface_training.config.training import TrainingConfig

__all__ = [
    "ArchitectureName",
    "AugmentationConfig",
    "ComputeConfig",
    "DataConfig",
    "FaceLabel",
    "GroupKey",
    "Kind",
    "LossConfig",
    "ModelConfig",
    "OptimizerConfig",
    "Reconstruction",
    "Reduction",
    "ResamplingConfig",
    "TrainingConfig",
    "load_config",
    "ready_made",
]
