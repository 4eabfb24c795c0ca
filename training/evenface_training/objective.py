"""From a model's output on a batch to the loss of its kind and the terms that make it up."""

from typing import NamedTuple

import torch
from torch import Tensor

from evenface_training.config import LossConfig
from evenface_training.losses import (
    classification_error,
    dbvae_loss,
    kl_divergence,
    reconstruction_error,
    structural_dissimilarity,
    vae_loss,
)
from evenface_training.models import Output
from evenface_training.models.colouring import luminance


class Terms(NamedTuple):
    """Terms of the loss, one value an image; None where the kind of model lacks them.

    Attributes:
        classification: [N].
        kl: [F], faces alone.
        reconstruction: [F], faces alone; of a colorizer the error of its colours.
        dissimilarity: [F], faces alone; None also where `loss.ssim_weight` is 0.
        luminance: [F], of a colorizer alone: the error of its colours' luminance.
    """

    classification: Tensor | None
    kl: Tensor | None
    reconstruction: Tensor | None
    dissimilarity: Tensor | None = None
    luminance: Tensor | None = None

    def means(self) -> dict[str, Tensor]:
        """The mean of each term that there is, by name."""
        return {name: term.mean() for name, term in self._asdict().items() if term is not None}


def loss_terms(output: Output, images: Tensor, faces: int, config: LossConfig) -> Terms:
    """Compute the terms on a batch whose first images are its faces.

    Args:
        output: The model's output on `images`.
        images: float32 [N, C, S, S] in [0, 1].
        faces: F, how many of them are faces.
        config: Kinds of the terms.
    """
    classification = kl = reconstruction = dissimilarity = grey = None
    if output.logit is not None:
        is_face = (torch.arange(len(images), device=images.device) < faces).float()
        classification = classification_error(output.logit, is_face)
    if output.mean is not None and output.log_variance is not None:
        posterior = output.mean[:faces], output.log_variance[:faces]
        kl = kl_divergence(*posterior, config.kl_reduction, config.free_bits)
    if output.reconstruction is not None:
        reconstruction = reconstruction_error(
            images[:faces],
            output.reconstruction,
            config.reconstruction,
            config.reconstruction_reduction,
        )
        if config.ssim_weight:
            dissimilarity = structural_dissimilarity(images[:faces], output.reconstruction)
        if output.mean is None:
            grey = reconstruction_error(
                luminance(images[:faces]),
                luminance(output.reconstruction),
                config.reconstruction,
                config.reconstruction_reduction,
            )
    return Terms(classification, kl, reconstruction, dissimilarity, grey)


def total_loss(terms: Terms, config: LossConfig, kl_share: float | Tensor = 1.0) -> Tensor:
    """Combine the terms of a batch into the scalar to minimise.

    Args:
        terms: Of `loss_terms`.
        config: Weights of the terms and, beside a classification, of the VAE.
        kl_share: Share of the KL term's weight, below 1 while it rises.
    """
    if terms.luminance is not None and terms.reconstruction is not None:
        colours = terms.reconstruction + config.luminance_weight * terms.luminance
        if terms.dissimilarity is not None:
            colours = colours + config.ssim_weight * terms.dissimilarity
        return colours.mean()
    if terms.kl is None or terms.reconstruction is None:
        assert terms.classification is not None  # noqa: S101 - every kind has one or the other
        return terms.classification.mean()
    of_faces = vae_loss(
        terms.kl,
        terms.reconstruction,
        kl_share * config.kl_weight,
        terms.dissimilarity,
        config.ssim_weight,
    )
    if terms.classification is None:
        return of_faces.mean()
    return dbvae_loss(terms.classification, config.vae_weight * of_faces)
