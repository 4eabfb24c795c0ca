"""The networks: a `FaceModel` around one of the `ARCHITECTURES`, one module each.

Knows nothing of losses, data or devices.
"""

from evenface_training.models.architectures import ARCHITECTURES, Architecture
from evenface_training.models.face_model import (
    Conditions,
    Encoding,
    FaceModel,
    Output,
    build_model,
)
from evenface_training.models.residual import Beside, FitComponents

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "Beside",
    "Conditions",
    "Encoding",
    "FaceModel",
    "FitComponents",
    "Output",
    "build_model",
]
