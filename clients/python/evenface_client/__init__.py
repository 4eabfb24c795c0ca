"""Python client of evenface: `Client`, `AsyncClient`, their results and errors.

Needs grpcio, grpcio-status, protobuf and numpy alone. The command `evenface` is `cli`.
"""

from evenface_client._async_client import AsyncClient
from evenface_client._channel import TLS
from evenface_client._client import Client
from evenface_client._inputs import Images, ImageSource
from evenface_client._requests import Attributes
from evenface_client.errors import (
    AccessDenied,
    Cancelled,
    DeadlineExceeded,
    EvenfaceClientError,
    InternalServerError,
    InvalidRequest,
    NotFound,
    Overloaded,
    TryAgain,
    Unavailable,
    Unsupported,
)
from evenface_client.results import (
    AttributeQuality,
    Classification,
    ClassifiedImage,
    Decoded,
    Edited,
    EncodedImage,
    Encoding,
    GroupQuality,
    Histogram,
    Limits,
    ModelDetails,
    ModelInfo,
    ModelRef,
    Outcome,
    Prior,
    Samples,
    Weighting,
)

__all__ = [
    "TLS",
    "AccessDenied",
    "AsyncClient",
    "AttributeQuality",
    "Attributes",
    "Cancelled",
    "Classification",
    "ClassifiedImage",
    "Client",
    "DeadlineExceeded",
    "Decoded",
    "Edited",
    "EncodedImage",
    "Encoding",
    "EvenfaceClientError",
    "GroupQuality",
    "Histogram",
    "ImageSource",
    "Images",
    "InternalServerError",
    "InvalidRequest",
    "Limits",
    "ModelDetails",
    "ModelInfo",
    "ModelRef",
    "NotFound",
    "Outcome",
    "Overloaded",
    "Prior",
    "Samples",
    "TryAgain",
    "Unavailable",
    "Unsupported",
    "Weighting",
]
