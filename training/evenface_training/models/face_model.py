"""A CNN classifier, a VAE, both at once (DB-VAE) or a colorizer; also conditional.

A conditional model (CVAE; Sohn, Lee & Yan, NeurIPS 2015) knows attributes of a face beside its
pixels: q(z|x, c) and p(x|z, c). Its encoder is told them in training for a part of the faces only,
and its latents do without them where it is told nothing, for a server encodes images alone.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from evenface_training.config import ModelConfig
from evenface_training.models.architectures import ARCHITECTURES
from evenface_training.models.residual import FitComponents


class Encoding(NamedTuple):
    """What the encoder says of N images; a part that the kind of model lacks is None.

    Attributes:
        logit: float32 [N]; log-odds of being a face.
        mean: float32 [N, L]; mean of q(z|x).
        log_variance: float32 [N, L]; log sigma^2 of q(z|x).
    """

    logit: Tensor | None
    mean: Tensor | None
    log_variance: Tensor | None


class Output(NamedTuple):
    """An encoding together with the reconstruction of the images that were decoded.

    Attributes:
        logit: As in `Encoding`.
        mean: As in `Encoding`.
        log_variance: As in `Encoding`.
        reconstruction: float32 [F, C, S, S] in [0, 1] of the first F images, or None.
    """

    logit: Tensor | None
    mean: Tensor | None
    log_variance: Tensor | None
    reconstruction: Tensor | None


class Conditions(NamedTuple):
    """Attributes of a batch's F faces for a conditional model, by `ModelConfig.conditions`.

    Attributes:
        known: float32 [F, K]; what the decoder is told.
        told: float32 [F, K]; what the encoder is told: the same, or zeros for nothing.
    """

    known: Tensor
    told: Tensor


class FaceModel(nn.Module):
    """CNN classifier (`cnn`), variational autoencoder (`vae`), both at once (`dbvae`), `colorizer`.

    Images are float32 [N, C, S, S] in [0, 1], latents float32 [N, L]. A colorizer's encoder gives
    the luminance of images in colour, and its decoder paints grey ones.

    Args:
        config: Architecture, kind and sizes.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        architecture = ARCHITECTURES[config.architecture]
        latent_outputs = 2 * config.latent_size if config.generates else 0
        self.encoder = architecture.encoder(config, int(config.classifies) + latent_outputs)
        self.decoder: nn.Sequential | None = None
        self.telling: nn.Linear | None = None
        if config.generates:
            known = len(config.conditions)
            self.decoder = architecture.decoder(config, config.latent_size + known)
            # The same as joining conditions to the features before the encoder's last layer.
            self.telling = nn.Linear(known, latent_outputs, bias=False) if known else None
        elif config.colours:
            self.decoder = architecture.decoder(config, 1)

    def start(self, fit: FitComponents) -> None:
        """Set the weights that do not start at random, before the first step.

        Args:
            fit: From a number of components and a pooling (see `PrincipalComponents.fit`) to the
                principal components of the training faces; asked only if the architecture uses
                them.
        """
        start = ARCHITECTURES[self.config.architecture].start
        if start is not None and self.decoder is not None:
            start(self.encoder, self.decoder, self.config, fit)

    def encode(self, images: Tensor, told: Tensor | None = None) -> Encoding:
        """Classify N images and give the Gaussians q(z|x) of their latents.

        Args:
            images: [N, C, S, S].
            told: [F, K], F <= N; conditions of the first F images. None tells nothing.
        """
        if self.config.colours:
            return Encoding(None, None, None)
        outputs: Tensor = self.encoder(images)
        logit = outputs[:, 0] if self.config.classifies else None
        if not self.config.generates:
            return Encoding(logit, None, None)
        posterior = outputs[:, int(self.config.classifies) :]
        if self.telling is not None and told is not None:
            rest = len(images) - len(told)
            posterior = posterior + functional.pad(self.telling(told), (0, 0, 0, rest))
        mean, log_variance = posterior.chunk(2, dim=1)
        return Encoding(logit, mean, log_variance)

    def decode(self, latents: Tensor, known: Tensor | None = None) -> Tensor:
        """Turn latents [N, L] into images [N, C, S, S] in [0, 1].

        Args:
            latents: [N, L].
            known: [N, K]; conditions, of a conditional model. None is all zeros.

        Raises:
            TypeError: The model is a `cnn`, which has no decoder.
        """
        if self.decoder is None:
            raise TypeError("a cnn has no decoder")
        if self.config.conditions:
            if known is None:
                known = latents.new_zeros(len(latents), len(self.config.conditions))
            latents = torch.cat([latents, known], dim=1)
        images: Tensor = self.decoder(latents)
        return images

    def paint(self, images: Tensor, eps: Tensor | None = None) -> Tensor:
        """Colour the luminance of images, of a `colorizer`; both [N, 3, S, S] in [0, 1].

        Args:
            images: [N, 3, S, S].
            eps: Standard normal noise [N, 1, S, S]; `input_noise` times it is added to the
                luminance, against learning faces by heart. None adds nothing.
        """
        assert self.decoder is not None  # noqa: S101 - callers leave a cnn out
        grey = self.encoder(images)
        if eps is not None:
            grey = grey + self.config.input_noise * eps
        painted: Tensor = self.decoder(grey)
        return painted

    def forward(
        self, images: Tensor, eps: Tensor | None = None, conditions: Conditions | None = None
    ) -> Output:
        """Encode all images and reconstruct the first of them.

        Faces stand first in a batch and only they are reconstructed, for a non-face counts in
        the classification alone: the gradient is that of decoding all, at less cost, but for the
        decoder's batch norms, which in training see faces only, as they will in use.

        Args:
            images: [N, C, S, S].
            eps: Standard normal noise [F, L], F <= N; the first F images are decoded from
                z = mean + exp(log_variance / 2) * eps. None decodes nothing. Of a colorizer see
                `paint`.
            conditions: Of the first F images, where the model is conditional.
        """
        if self.config.colours:
            return Output(None, None, None, self.paint(images, eps))
        known, told = (None, None) if conditions is None else conditions
        logit, mean, log_variance = self.encode(images, told)
        if eps is None or mean is None or log_variance is None:
            return Output(logit, mean, log_variance, None)
        rows = len(eps)
        latents = mean[:rows] + torch.exp(0.5 * log_variance[:rows]) * eps
        return Output(logit, mean, log_variance, self.decode(latents, known))


def build_model(config: ModelConfig, seed: int) -> FaceModel:
    """Make a model with random weights that depend on `seed` alone.

    Torch's initialisers draw from its global generator; it is left as it was found.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return FaceModel(config)
