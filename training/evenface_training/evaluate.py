"""Running a trained model over many images, and the figures that come out of it.

Used by training on its validation part, and by export.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from evenface_training import metrics
from evenface_training.config import LossConfig
from evenface_training.data import Int64, SplitImages, TrainingData, UInt8
from evenface_training.device import memory_format
from evenface_training.groups import GroupRates, group_rates
from evenface_training.models import FaceModel, Output
from evenface_training.models.colouring import luminance
from evenface_training.objective import loss_terms

Float32 = NDArray[np.float32]

_BATCH = 256


@dataclass(frozen=True)
class Encodings:
    """What a model says of N images; a part that its kind lacks is None.

    Attributes:
        logit: float32 [N].
        mean: float32 [N, L].
        log_variance: float32 [N, L].
    """

    logit: Float32 | None = field(repr=False)
    mean: Float32 | None = field(repr=False)
    log_variance: Float32 | None = field(repr=False)


@dataclass(frozen=True)
class Evaluation:
    """Figures of a model on held-out images.

    Attributes:
        figures: `loss` and its terms; `accuracy` and `auc` of face against non-face; `l1`, `psnr`
            (dB) and `ssim` of reconstructions from the mean; what the kind lacks is left out.
        groups: True positive rates by group; None where nothing is classified or nobody grouped.
        group_sizes: Held-out faces by group.
    """

    figures: Mapping[str, float]
    groups: GroupRates | None
    group_sizes: Mapping[str, int]


def to_tensor(images: UInt8, device: torch.device) -> Tensor:
    """Turn uint8 [N, S, S, C] into float32 [N, C, S, S] in [0, 1] on a device."""
    return to_floats(torch.from_numpy(images).to(device))


def to_floats(images: Tensor) -> Tensor:
    """Turn uint8 [N, S, S, C] into float32 [N, C, S, S] in [0, 1], where it is."""
    floats = images.permute(0, 3, 1, 2).float()
    return floats.contiguous(memory_format=memory_format(images.device)) / 255.0


def to_images(tensor: Tensor) -> UInt8:
    """Turn float [N, C, S, S] in [0, 1] into uint8 [N, S, S, C]."""
    scaled = (tensor.detach().clamp(0, 1) * 255.0).round().to(torch.uint8)
    pixels: UInt8 = scaled.permute(0, 2, 3, 1).cpu().numpy()
    return pixels


@torch.inference_mode()
def encode_all(model: FaceModel, images: UInt8, rows: Int64) -> Encodings:
    """Encode many images, a batch at a time, on the model's device.

    Args:
        model: In eval mode.
        images: uint8 [N, S, S, C].
        rows: int64 [M], which of them.
    """
    parts = [model.encode(_load(model, images, batch)) for batch in _batches(rows)]
    return Encodings(*(_join(column) for column in zip(*parts, strict=True)))


@torch.inference_mode()
def decode_all(model: FaceModel, latents: Float32, conditions: Float32 | None = None) -> UInt8:
    """Decode latents to images, on the model's device.

    Args:
        model: In eval mode.
        latents: float32 [N, L].
        conditions: float32 [N, K], of a conditional model; None is all zeros.

    Returns:
        uint8 [N, S, S, C].
    """
    device = device_of(model)
    known = None if conditions is None else torch.from_numpy(conditions).to(device)
    return to_images(model.decode(torch.from_numpy(latents).to(device), known))


@torch.inference_mode()
def evaluate(model: FaceModel, data: TrainingData, loss: LossConfig) -> Evaluation:
    """Measure a model on the held-out part of its data.

    Reconstructions are decoded from the mean, so that nothing here is random. As in a training
    batch, faces and non-faces count alike in the loss, however many there are. Of a conditional
    model the decoder is told the conditions and the encoder is not, as in a server.

    Args:
        model: In eval mode.
        data: Its `validation` rows are used.
        loss: The loss to report.
    """
    faces = _measure(model, data.faces, loss, data.conditions)
    figures = {name: float(np.mean(values)) for name, values in faces.items() if name != "logit"}
    groups = data.groups(data.faces.validation)
    rates = None
    if data.nonfaces is not None:
        others = _measure(model, data.nonfaces, loss, None)
        means = (figures["classification"], float(np.mean(others["classification"])))
        figures["classification"] = sum(means) / 2
        figures["accuracy"] = metrics.accuracy(faces["logit"], others["logit"])
        figures["auc"] = metrics.auc(faces["logit"], others["logit"])
        if groups:
            rates = group_rates(faces["logit"], others["logit"], groups)
    figures = {"loss": _balanced_loss(figures, loss), **figures}
    sizes = {name: int(members.sum()) for name, members in groups.items()}
    return Evaluation(figures, rates, sizes)


def _balanced_loss(figures: Mapping[str, float], loss: LossConfig) -> float:
    """The loss of a batch that is half faces, from the means of its terms."""
    if "luminance" in figures:
        colours = figures["reconstruction"] + loss.luminance_weight * figures["luminance"]
        return colours + loss.ssim_weight * figures.get("dissimilarity", 0.0)
    if "kl" not in figures:
        return figures["classification"]
    vae = loss.kl_weight * figures["kl"] + figures["reconstruction"]
    vae += loss.ssim_weight * figures.get("dissimilarity", 0.0)
    if "classification" not in figures:
        return vae
    return figures["classification"] + loss.vae_weight * vae / 2


def _measure(
    model: FaceModel, part: SplitImages, loss: LossConfig, conditions: Float32 | None
) -> dict[str, Float32]:
    """Every figure of every held-out image, float32 [V] by name.

    Args:
        model: The model.
        part: The images.
        loss: The loss to report.
        conditions: float32 [N, K], of each image of `part` if these are faces; else None.
    """
    parts = [
        _measure_batch(
            model,
            _load(model, part.images, rows),
            loss,
            None if conditions is None else torch.from_numpy(conditions[rows]),
        )
        for rows in _batches(part.validation)
    ]
    return {name: torch.cat([values[name] for values in parts]).cpu().numpy() for name in parts[0]}


def _measure_batch(
    model: FaceModel, images: Tensor, loss: LossConfig, conditions: Tensor | None
) -> dict[str, Tensor]:
    logit, mean, log_variance = model.encode(images)
    if conditions is None:  # a non-face: classification is all that counts for it
        mean = log_variance = None
    known = None if conditions is None else conditions.to(images.device)
    reconstruction = None if mean is None else model.decode(mean, known)
    if model.config.colours:
        reconstruction = model.paint(images)
    output = Output(logit, mean, log_variance, reconstruction)
    terms = loss_terms(output, images, 0 if conditions is None else len(images), loss)
    measured = {"logit": logit, **terms._asdict()}
    if reconstruction is not None:
        measured["l1"] = metrics.l1(images, reconstruction)
        measured["psnr"] = metrics.psnr(images, reconstruction)
        measured["ssim"] = metrics.ssim(images, reconstruction)
    if model.config.colours:
        measured["grey_l1"] = metrics.l1(images, luminance(images).expand_as(images))
    return {name: values for name, values in measured.items() if values is not None}


def _batches(rows: Int64) -> Iterator[Int64]:
    for start in range(0, len(rows), _BATCH):
        yield rows[start : start + _BATCH]


def _load(model: FaceModel, images: UInt8, rows: Int64) -> Tensor:
    """Images float32 [N, C, S, S] in [0, 1] on the model's device."""
    return to_tensor(images[rows], device_of(model))


def device_of(model: FaceModel) -> torch.device:
    """Where the model's weights lie."""
    return next(model.parameters()).device


def _join(column: tuple[Tensor | None, ...]) -> Float32 | None:
    tensors = [part for part in column if part is not None]
    if not tensors:
        return None
    joined: Float32 = torch.cat(tensors).cpu().numpy()
    return joined
