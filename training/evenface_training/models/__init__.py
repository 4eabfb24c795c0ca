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

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "Conditions",
    "Encoding",
    "FaceModel",
    "Output",
    "build_model",
]
