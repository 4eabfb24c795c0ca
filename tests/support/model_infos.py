"""What a client is told of a model, for tests without a service."""

from dataclasses import replace

from evenface_client import ModelInfo

_INFO = ModelInfo(
    name="faces",
    version="1",
    is_default=True,
    kind="dbvae",
    image_size=64,
    channels=3,
    latent_size=100,
    functions=("encode", "classify"),
    attributes=(),
    decision_threshold=0.5,
    quality={"accuracy": 0.9},
    provenance={"data_digest": "d"},
    manifest_digest="",
)


def model_info(**changes: object) -> ModelInfo:
    """A DB-VAE's that encodes and classifies, but for the changes."""
    return replace(_INFO, **changes)  # type: ignore[arg-type]
