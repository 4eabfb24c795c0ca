"""The losses of the VAE and the DB-VAE, each as its formula stands in the literature.

Pure functions of tensors: no state, no configuration objects. q(z|x) is a Gaussian given by its
mean and log_variance = log sigma^2.

Sources: Kingma & Welling 2014 (appendix B) for the KL term; Kingma et al., NeurIPS 2016, for free
bits; Zhao, Gallo, Frosio & Kautz 2017 for SSIM beside a pixelwise error; Amini et al., AIES 2019,
and MIT 6.S191 lab 2 for the rest. Which article of docs/models.md uses which:

| | reconstruction | KL |
|---|---|---|
| 000, 001 (the lab) | l1, mean | sum, weight 0.0005 |
| 003 | unnamed in the text ("BCE" in its code, over pixels of 0 to 255) | sum, weight 1 |
| 004 | mse, mean | mean, weight 0.01 |
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional

from evenface_training import metrics
from evenface_training.config import Reconstruction, Reduction


def kl_divergence(
    mean: Tensor, log_variance: Tensor, reduction: Reduction = "sum", free_bits: float = 0.0
) -> Tensor:
    """KL divergence of q(z|x) from the standard normal, per image.

    L_KL = sum_d KL_d,  KL_d = 1/2 (exp(log_variance_d) + mean_d^2 - 1 - log_variance_d)

    With free bits b (Kingma et al., "Improved variational inference with inverse autoregressive
    flow", 2016, each dimension a group) the mean over the N images becomes
    sum_d max(b, mean of KL_d): a dimension that says less than b nats of an image is not pushed to
    say still less.

    Args:
        mean: [N, L].
        log_variance: [N, L].
        reduction: `sum` is the divergence itself; `mean` is it divided by L, so that a weight
            means the same at every length of the latent.
        free_bits: b, in nats a dimension.

    Returns:
        [N], in nats; at least 0.
    """
    terms = 0.5 * (log_variance.exp() + mean.square() - 1.0 - log_variance)
    if free_bits:
        costs = terms.mean(dim=0) > free_bits
        terms = torch.where(costs, terms, terms.new_tensor(free_bits))
    return _reduced(terms, reduction)


def reconstruction_error(
    images: Tensor, reconstruction: Tensor, kind: Reconstruction, reduction: Reduction = "mean"
) -> Tensor:
    """How far each reconstruction is from its image, over channels and pixels.

    l1: |x - x'|;  mse: (x - x')^2;  bce: -(x log x' + (1 - x) log(1 - x'))

    Args:
        images: [N, C, S, S] in [0, 1].
        reconstruction: [N, C, S, S] in [0, 1].
        kind: Which of the three.
        reduction: `mean`; or `sum`, with which `bce` is the negative log-likelihood of Bernoulli
            pixels and `mse`, but for a constant, 2 sigma^2 times that of Gaussian ones. The ELBO
            then has a KL weight (a sum, too) of 1, or of 2 sigma^2.

    Returns:
        [N].
    """
    return _reduced(_PIXEL_ERRORS[kind](reconstruction, images).flatten(start_dim=1), reduction)


def structural_dissimilarity(images: Tensor, reconstruction: Tensor) -> Tensor:
    """1 - SSIM (see `metrics.ssim`) of each reconstruction, [N] in 0 to 2.

    A pixelwise error is content with a blur where it cannot tell the place of an edge; SSIM, which
    compares contrast and structure under a small window, is not.

    Args:
        images: [N, C, S, S] in [0, 1], S at least 11.
        reconstruction: As `images`.
    """
    return 1.0 - metrics.ssim(images, reconstruction)


def _reduced(values: Tensor, reduction: Reduction) -> Tensor:
    return values.sum(dim=1) if reduction == "sum" else values.mean(dim=1)


def _absolute(reconstruction: Tensor, images: Tensor) -> Tensor:
    return (images - reconstruction).abs()


def _squared(reconstruction: Tensor, images: Tensor) -> Tensor:
    return (images - reconstruction).square()


def _cross_entropy(reconstruction: Tensor, images: Tensor) -> Tensor:
    return functional.binary_cross_entropy(reconstruction, images, reduction="none")


_PIXEL_ERRORS: Mapping[Reconstruction, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": _absolute,
    "mse": _squared,
    "bce": _cross_entropy,
}


def classification_error(logit: Tensor, is_face: Tensor) -> Tensor:
    """Binary cross-entropy of face against non-face, per image.

    BCE(y, s) = -(y log sigmoid(s) + (1 - y) log(1 - sigmoid(s)))

    Args:
        logit: [N].
        is_face: [N], 1 for a face, 0 for a non-face; float.

    Returns:
        [N], in nats.
    """
    return functional.binary_cross_entropy_with_logits(logit, is_face, reduction="none")


def vae_loss(
    kl: Tensor,
    reconstruction: Tensor,
    kl_weight: float | Tensor,
    dissimilarity: Tensor | None = None,
    ssim_weight: float = 0.0,
) -> Tensor:
    """VAE = c * L_KL + L_reconstruction + w * (1 - SSIM), per image.

    Args:
        kl: [N], of `kl_divergence`.
        reconstruction: [N], of `reconstruction_error`.
        kl_weight: c.
        dissimilarity: [N], of `structural_dissimilarity`; None leaves the term out.
        ssim_weight: w.

    Returns:
        [N].
    """
    error = kl_weight * kl + reconstruction
    return error if dissimilarity is None else error + ssim_weight * dissimilarity


def dbvae_loss(classification: Tensor, vae_of_faces: Tensor) -> Tensor:
    """DB-VAE = mean_i (BCE_i + 1[y_i = face] * VAE_i): a non-face counts in the first term alone.

    Args:
        classification: [N], of `classification_error`, over faces and non-faces.
        vae_of_faces: [F], of `vae_loss`, over the faces among them.

    Returns:
        A scalar.
    """
    return (classification.sum() + vae_of_faces.sum()) / len(classification)
