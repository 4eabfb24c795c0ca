"""The lab's training loop (MIT 6.S191, lab 2) in plain PyTorch, step for step as it stands there.

Batches are drawn with numpy and made floats one at a time, every image is decoded, the loss is read
after each step, and before each epoch all faces are encoded and weighted one dimension at a time.
The network is the lab's: convolution, ReLU, batch norm; a decoder without batch norms.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.training.turns import Turns

_FILTERS, _LATENT, _BATCH, _RATE, _KL = 12, 100, 32, 5e-4, 5e-4
_UInt8 = NDArray[np.uint8]
_Float64 = NDArray[np.float64]


def sample_probabilities(mean: _Float64, bins: int = 10, smoothing: float = 0.001) -> _Float64:
    """The lab's get_training_sample_probabilities, behind the encoding."""
    chosen = np.zeros(len(mean))
    for dimension in range(mean.shape[1]):
        values = mean[:, dimension]
        density, edges = np.histogram(values, density=True, bins=bins)
        edges[0], edges[-1] = -np.inf, np.inf
        found = np.digitize(values, edges)
        smoothed = density + smoothing
        smoothed = smoothed / smoothed.sum()
        p = 1.0 / smoothed[found - 1]
        chosen = np.maximum(p / p.sum(), chosen)
    chosen /= chosen.sum()
    return chosen


class _LabModel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        n = _FILTERS
        self.encoder = nn.Sequential(
            *_down(3, n, 5),
            *_down(n, 2 * n, 5),
            *_down(2 * n, 4 * n, 3),
            *_down(4 * n, 6 * n, 3),
            nn.Flatten(),
            nn.Linear(6 * n * 16, 512),
            nn.ReLU(),
            nn.Linear(512, 2 * _LATENT + 1),
        )
        self.decoder = nn.Sequential(
            nn.Linear(_LATENT, 6 * n * 16),
            nn.ReLU(),
            nn.Unflatten(1, (6 * n, 4, 4)),
            *(_up(6 * n, 4 * n, 3), nn.ReLU()),
            *(_up(4 * n, 2 * n, 3), nn.ReLU()),
            *(_up(2 * n, n, 5), nn.ReLU()),
            _up(n, 3, 5),
        )

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        out = self.encoder(images)
        return out[:, 0], out[:, 1 : _LATENT + 1], out[:, _LATENT + 1 :]

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        logit, mean, log_sigma = self.encode(images)
        z = mean + torch.exp(0.5 * log_sigma) * torch.randn_like(mean)
        return logit, mean, log_sigma, self.decoder(z)


def _down(inputs: int, outputs: int, kernel: int) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride=2, padding=kernel // 2)
    return convolution, nn.ReLU(), nn.BatchNorm2d(outputs)


def _up(inputs: int, outputs: int, kernel: int) -> nn.Module:
    return nn.ConvTranspose2d(
        inputs, outputs, kernel, stride=2, padding=kernel // 2, output_padding=1
    )


def _loss(images: Tensor, rebuilt: Tensor, y: Tensor, code: tuple[Tensor, ...]) -> Tensor:
    logit, mean, log_sigma = code
    latent = 0.5 * (log_sigma.exp() + mean.square() - 1.0 - log_sigma).sum(dim=1)
    vae = _KL * latent + (images - rebuilt).abs().mean(dim=(1, 2, 3))
    classification = functional.binary_cross_entropy_with_logits(logit, y, reduction="none")
    return (classification + y * vae).mean()


def _floats(images: _UInt8) -> Tensor:
    return torch.from_numpy((images / 255.0).astype(np.float32).transpose(0, 3, 1, 2).copy())


class _Loop:
    def __init__(self, folder: Path) -> None:
        self._faces, self._others, self._held_faces, self._held_others = (
            np.load(folder / f"{name}.npy")
            for name in ("faces", "nonfaces", "held-faces", "held-nonfaces")
        )
        torch.manual_seed(0)
        self._random = np.random.default_rng(0)
        self._model = _LabModel()
        self._optimizer = torch.optim.Adam(self._model.parameters(), lr=_RATE)
        self._turn = Turns(self.validate)

    def run(self) -> None:
        self._turn()
        steps = (len(self._faces) + len(self._others)) // _BATCH
        epoch = 0
        while True:
            p = None if epoch == 0 else sample_probabilities(self._encode(self._faces))
            self._model.train()
            for _ in range(steps):
                self._step(p)
                self._turn()
            epoch += 1

    def _step(self, p: _Float64 | None) -> float:
        half = _BATCH // 2
        faces = self._random.choice(len(self._faces), half, replace=p is not None, p=p)
        others = self._random.choice(len(self._others), half, replace=False)
        pixels = np.concatenate([self._faces[faces], self._others[others]])
        images = _floats(pixels)
        y = torch.tensor([1.0] * half + [0.0] * half)
        self._optimizer.zero_grad()
        *code, rebuilt = self._model(images)
        loss = _loss(images, rebuilt, y, tuple(code))
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        return loss.item()

    @torch.no_grad()
    def _encode(self, images: _UInt8) -> _Float64:
        self._model.eval()
        found = np.zeros((len(images), _LATENT))
        for start in range(0, len(images), 1024):
            batch = _floats(images[start : start + 1024])
            found[start : start + 1024] = self._model.encode(batch)[1].numpy()
        return found

    @torch.no_grad()
    def validate(self) -> float:
        """The loss with faces and non-faces counting alike, decoded from the mean."""
        self._model.eval()
        sums = []
        for y, images in ((1.0, self._held_faces), (0.0, self._held_others)):
            losses = []
            for start in range(0, len(images), 256):
                batch = _floats(images[start : start + 256])
                logit, mean, log_sigma = self._model.encode(batch)
                rebuilt = self._model.decoder(mean)
                of_batch = _loss(
                    batch, rebuilt, torch.full_like(logit, y), (logit, mean, log_sigma)
                )
                losses.append(of_batch.item() * len(batch))
            sums.append(sum(losses) / len(images))
        self._model.train()
        return sum(sums) / 2


if __name__ == "__main__":
    _Loop(Path(sys.argv[1])).run()
