"""How far samples are from faces: the Fréchet distance of features of both.

d² = |m₁ - m₂|² + tr(S₁ + S₂ - 2 (S₁ S₂)^½) of the features' means and covariances (Heusel et al.,
"GANs trained by a two time-scale update rule", NeurIPS 2017, who took them from Inception).
"""

import hashlib
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from evenface_core.errors import ExportError
from evenface_core.latents import standard_normal
from evenface_training.data import TrainingData
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics.image.fid import FrechetInceptionDistance

from evenface_export.latent_figures import LatentFigures
from evenface_export.sessions import Int64, ServedModel, UInt8, batches

MOST_FACES = 2000

_SEED = 0
_WIDTHS = (16, 32, 32)
_CELLS = 2  # cells that the innermost maps are averaged over, in each direction
_WHITE = 255.0
_SHAPE = 4  # of a batch of images


class RandomFeatures(nn.Module):
    """Features of a small convolutional network with fixed random weights, the same everywhere.

    Random features tell images apart well enough to compare models with each other, without a
    network that has been trained on anything (Naeem et al., "Reliable fidelity and diversity
    metrics for generative models", ICML 2020). Means over the first maps know texture and
    sharpness, the last maps what lies where.

    Args:
        channels: Of the images.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        layers, before = [], channels
        for number, width in enumerate(_WIDTHS):
            layer = nn.Conv2d(before, width, 5, stride=2, padding=2, bias=False)
            size = layer.weight[0].numel()
            # Not torch's initialiser, whose numbers may change with its version.
            noise = standard_normal(number, range(width), size) * np.sqrt(2 / size)
            layer.weight.data = torch.from_numpy(noise).float().view_as(layer.weight)
            layers.append(layer)
            before = width
        self.layers = nn.ModuleList(layers)

    def forward(self, images: Tensor) -> Tensor:
        """Turn float32 [N, C, S, S] in [0, 1] into float32 [N, 176]."""
        found, maps = [], 4 * (images - 0.5)
        for layer in self.layers:
            maps = functional.relu(layer(maps))
            found.append(maps.mean(dim=(2, 3)))
        found[-1] = functional.adaptive_avg_pool2d(maps, _CELLS).flatten(start_dim=1)
        return torch.cat(found, dim=1)


class FileFeatures(nn.Module):
    """Features of a network in an ONNX file: one input float32 [N, C, H, W], one output [N, F].

    Args:
        path: The file. Its input takes pixels of 0 to 1, and C is 1 or 3; images are resized to
            H and W where it fixes them.

    Attributes:
        digest: SHA-256 of the file.

    Raises:
        ExportError: It cannot be read, or has another form.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        try:
            data = path.read_bytes()
            self._session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
        except OSError as error:
            raise ExportError(f"--features: {path}: {error.strerror}") from error
        except Exception as error:  # its exceptions have no common base
            raise ExportError(f"--features: {path}: ONNX Runtime refuses it: {error}") from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        shape = inputs[0].shape
        if len(inputs) != 1 or len(outputs) != 1 or len(shape) != _SHAPE or shape[1] not in (1, 3):
            raise ExportError(
                f"--features: {path}: it must have one input [N, C, H, W], C 1 or 3, and one output"
            )
        self.digest = hashlib.sha256(data).hexdigest()
        self._name, self._channels = inputs[0].name, shape[1]
        self._size = [side for side in shape[2:] if isinstance(side, int)]

    def forward(self, images: Tensor) -> Tensor:
        """Turn float32 [N, C, S, S] in [0, 1] into float32 [N, F]."""
        if len(self._size) == 2:  # noqa: PLR2004 - both sides
            images = functional.interpolate(images, self._size, mode="bilinear", antialias=True)
        if images.shape[1] != self._channels:
            images = images.mean(dim=1, keepdim=True).expand(-1, self._channels, -1, -1)
        (features,) = self._session.run(None, {self._name: images.contiguous().numpy()})
        return torch.from_numpy(features).float().flatten(start_dim=1)


def measure_samples(
    served: ServedModel, latents: LatentFigures, data: TrainingData, features: Path | None
) -> dict[str, float]:
    """Compare samples with held-out faces, and with them as many training faces.

    Args:
        served: The model.
        latents: Where samples are drawn from.
        data: The images; at most 2,000 held-out ones are compared.
        features: An ONNX file; None for random features.

    Returns:
        `frechet_samples` and, as what real faces reach, `frechet_training_faces`; nothing where
        there are fewer than two of them.
    """
    faces = data.faces
    count = min(MOST_FACES, len(faces.validation), len(faces.train))
    if count < 2:  # noqa: PLR2004 - one has no covariance
        return {}
    shape = faces.images.shape
    network = RandomFeatures(shape[3]) if features is None else FileFeatures(features)
    held_out, trained = (_spread(rows, count) for rows in (faces.validation, faces.train))
    distance = FrechetInceptionDistance(
        network, reset_real_features=False, input_img_size=(shape[3], *shape[1:3])
    )
    for batch in batches(held_out, "features"):
        distance.update(_tensor(faces.images[batch]), real=True)
    for batch in batches(np.arange(count), "sampling"):
        distance.update(_tensor(_draw(served, latents, data, batch)), real=False)
    samples = float(distance.compute())
    distance.reset()
    for batch in batches(trained, "features"):
        distance.update(_tensor(faces.images[batch]), real=False)
    return {"frechet_samples": samples, "frechet_training_faces": float(distance.compute())}


def _draw(served: ServedModel, latents: LatentFigures, data: TrainingData, items: Int64) -> UInt8:
    """Samples as a server draws them; of a conditional model with held-out faces' conditions."""
    noise = standard_normal(_SEED, items.tolist(), len(latents.posterior.mean))
    told = data.conditions[data.faces.validation[items]]
    return served.decode(latents.posterior.draw(noise), told if told.shape[1] else None)


def _spread(rows: Int64, count: int) -> Int64:
    return rows[np.linspace(0, len(rows) - 1, count).astype(np.int64)]


def _tensor(images: UInt8) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).float() / _WHITE
