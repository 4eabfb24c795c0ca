"""The networks of MIT 6.S191 lab 2: CNN classifier, VAE and debiasing VAE, in one class.

Architecture alone: knows nothing of losses, data or devices. Against the lab, convolutions are
followed by batch norm and then ReLU, so that export can fold the batch norms away; the decoder
has batch norms too, which gained 1 dB of held-out PSNR after ten epochs on portraits, and ends in
a sigmoid, so that its images stay in [0, 1].
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from evenface_training.config import ModelConfig


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


class FaceModel(nn.Module):
    """CNN classifier (`cnn`), variational autoencoder (`vae`) or both at once (`dbvae`).

    Images are float32 [N, C, S, S] in [0, 1], latents float32 [N, L].

    Args:
        config: Kind and sizes.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        latent_outputs = 2 * config.latent_size if config.generates else 0
        self.encoder = _encoder(config, outputs=int(config.classifies) + latent_outputs)
        self.decoder = _decoder(config) if config.generates else None

    def encode(self, images: Tensor) -> Encoding:
        """Classify N images and give the Gaussians q(z|x) of their latents."""
        outputs: Tensor = self.encoder(images)
        logit = outputs[:, 0] if self.config.classifies else None
        if not self.config.generates:
            return Encoding(logit, None, None)
        mean, log_variance = outputs[:, int(self.config.classifies) :].chunk(2, dim=1)
        return Encoding(logit, mean, log_variance)

    def decode(self, latents: Tensor) -> Tensor:
        """Turn latents [N, L] into images [N, C, S, S] in [0, 1].

        Raises:
            TypeError: The model is a `cnn`, which has no decoder.
        """
        if self.decoder is None:
            raise TypeError("a cnn has no decoder")
        images: Tensor = self.decoder(latents)
        return images

    def forward(self, images: Tensor, eps: Tensor | None = None) -> Output:
        """Encode all images and reconstruct the first of them.

        Faces stand first in a batch and only they are reconstructed, for a non-face counts in
        the classification alone: the gradient is that of decoding all, at less cost, but for the
        decoder's batch norms, which in training see faces only, as they will in use.

        Args:
            images: [N, C, S, S].
            eps: Standard normal noise [F, L], F <= N; the first F images are decoded from
                z = mean + exp(log_variance / 2) * eps. None decodes nothing.
        """
        logit, mean, log_variance = self.encode(images)
        if eps is None or mean is None or log_variance is None:
            return Output(logit, mean, log_variance, None)
        rows = len(eps)
        latents = mean[:rows] + torch.exp(0.5 * log_variance[:rows]) * eps
        return Output(logit, mean, log_variance, self.decode(latents))


def _encoder(config: ModelConfig, outputs: int) -> nn.Sequential:
    n, side = config.n_filters, config.image_size // 16
    return nn.Sequential(
        *_down(config.channels, n, kernel=5),
        *_down(n, 2 * n, kernel=5),
        *_down(2 * n, 4 * n, kernel=3),
        *_down(4 * n, 6 * n, kernel=3),
        nn.Flatten(),
        nn.Linear(6 * n * side * side, config.hidden_size),
        nn.ReLU(),
        nn.Linear(config.hidden_size, outputs),
    )


def _decoder(config: ModelConfig) -> nn.Sequential:
    n, side = config.n_filters, config.image_size // 16
    return nn.Sequential(
        nn.Linear(config.latent_size, 6 * n * side * side),
        nn.ReLU(),
        nn.Unflatten(1, (6 * n, side, side)),
        *_up(6 * n, 4 * n, kernel=3),
        *_up(4 * n, 2 * n, kernel=3),
        *_up(2 * n, n, kernel=5),
        _doubling(n, config.channels, kernel=5, bias=True),
        nn.Sigmoid(),
    )


def _down(inputs: int, outputs: int, kernel: int) -> tuple[nn.Module, ...]:
    """Halve height and width."""
    # The batch norm brings its own offset, so the convolution needs none.
    convolution = nn.Conv2d(inputs, outputs, kernel, stride=2, padding=kernel // 2, bias=False)
    return convolution, nn.BatchNorm2d(outputs), nn.ReLU()


def _up(inputs: int, outputs: int, kernel: int) -> tuple[nn.Module, ...]:
    """Double height and width."""
    convolution = _doubling(inputs, outputs, kernel, bias=False)
    return convolution, nn.BatchNorm2d(outputs), nn.ReLU()


def _doubling(inputs: int, outputs: int, kernel: int, *, bias: bool) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(
        inputs, outputs, kernel, stride=2, padding=kernel // 2, output_padding=1, bias=bias
    )


def build_model(config: ModelConfig, seed: int) -> FaceModel:
    """Make a model with random weights that depend on `seed` alone.

    Torch's initialisers draw from its global generator; it is left as it was found.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return FaceModel(config)
