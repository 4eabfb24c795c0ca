"""The section `loss`: its terms and their weights."""

from typing import Literal

from pydantic import Field

from evenface_training.config.section import Section

Reconstruction = Literal["l1", "mse", "bce"]
Reduction = Literal["mean", "sum"]


class LossConfig(Section):
    """Terms of the loss (see `losses`).

    Attributes:
        reconstruction: The reconstruction term.
        reconstruction_reduction: What becomes of it over pixels and channels.
        kl_weight: c in c * L_KL + L_reconstruction.
        kl_reduction: What becomes of L_KL over the dimensions of the latent.
        kl_warmup_epochs: First epochs over which the KL term's weight rises from 0 to `kl_weight`.
        free_bits: Nats of L_KL that each dimension may have at no cost.
        ssim_weight: Weight of 1 - SSIM, beside the reconstruction term; 0 is off.
        vae_weight: Factor on a DB-VAE's VAE term. The reconstruction is a mean over pixels and so
            far smaller than the classification's gradient: at 1 the encoder hardly learns faces.
        luminance_weight: Of a colorizer, factor on the error of the luminance of what it paints.
    """

    reconstruction: Reconstruction = "l1"
    reconstruction_reduction: Reduction = "mean"
    kl_weight: float = Field(default=0.0005, ge=0)
    kl_reduction: Reduction = "sum"
    kl_warmup_epochs: int = Field(default=0, ge=0)
    free_bits: float = Field(default=0.0, ge=0)
    ssim_weight: float = Field(default=0.0, ge=0)
    vae_weight: float = Field(default=1.0, gt=0)
    luminance_weight: float = Field(default=1.0, ge=0)
