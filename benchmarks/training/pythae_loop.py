"""pythae's VAE and trainer with the same network, taking turns; in an environment of its own."""

import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pythae.data.datasets import BaseDataset
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from torch import Tensor, nn

from benchmarks.training.turns import Turns

_FILTERS, _LATENT, _BATCH, _RATE = 12, 100, 32, 5e-4


class _Encoder(BaseEncoder):
    def __init__(self) -> None:
        super().__init__()
        n = _FILTERS
        self.layers = nn.Sequential(
            *_down(3, n, 5),
            *_down(n, 2 * n, 5),
            *_down(2 * n, 4 * n, 3),
            *_down(4 * n, 6 * n, 3),
            nn.Flatten(),
            nn.Linear(6 * n * 16, 512),
            nn.ReLU(),
            nn.Linear(512, 2 * _LATENT),
        )

    def forward(self, x: Tensor) -> ModelOutput:
        mean, log_variance = self.layers(x).chunk(2, dim=1)
        return ModelOutput(embedding=mean, log_covariance=log_variance)


class _Decoder(BaseDecoder):
    def __init__(self) -> None:
        super().__init__()
        n = _FILTERS
        self.layers = nn.Sequential(
            nn.Linear(_LATENT, 6 * n * 16),
            nn.ReLU(),
            nn.Unflatten(1, (6 * n, 4, 4)),
            *_up(6 * n, 4 * n, 3),
            *_up(4 * n, 2 * n, 3),
            *_up(2 * n, n, 5),
            nn.ConvTranspose2d(n, 3, 5, stride=2, padding=2, output_padding=1),
            nn.Sigmoid(),
        )

    def forward(self, z: Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=self.layers(z))


def _down(inputs: int, outputs: int, kernel: int) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride=2, padding=kernel // 2, bias=False)
    return convolution, nn.BatchNorm2d(outputs), nn.ReLU()


def _up(inputs: int, outputs: int, kernel: int) -> tuple[nn.Module, ...]:
    convolution = nn.ConvTranspose2d(
        inputs, outputs, kernel, stride=2, padding=kernel // 2, output_padding=1, bias=False
    )
    return convolution, nn.BatchNorm2d(outputs), nn.ReLU()


class _Steps(TrainingCallback):
    def __init__(self, turn: Turns) -> None:
        self._turn = turn

    def on_train_step_end(self, training_config: BaseTrainerConfig, **_: object) -> None:
        """See `TrainingCallback`."""
        del training_config
        self._turn()


def run(folder: Path) -> None:
    """Train until standard input ends."""
    torch.manual_seed(0)
    held = _floats(np.load(folder / "held-faces.npy"))
    model = VAE(
        VAEConfig(input_dim=(3, 64, 64), latent_dim=_LATENT, reconstruction_loss="mse"),
        encoder=_Encoder(),
        decoder=_Decoder(),
    )

    @torch.no_grad()
    def validate() -> float:
        model.eval()
        code = model.encoder(held)
        rebuilt = model.decoder(code.embedding).reconstruction
        loss, *_ = model.loss_function(
            rebuilt, held, code.embedding, code.log_covariance, code.embedding
        )
        model.train()
        return float(loss)

    turn = Turns(validate)
    trainer = BaseTrainer(
        model=model,
        train_dataset=_dataset(_floats(np.load(folder / "faces.npy"))),
        training_config=BaseTrainerConfig(
            output_dir=str(folder / "pythae"),
            num_epochs=10_000,
            per_device_train_batch_size=_BATCH,
            learning_rate=_RATE,
            no_cuda=True,
        ),
        callbacks=[_Steps(turn)],
    )
    turn()
    trainer.train()


def _floats(images: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2).float().contiguous() / 255.0


def _dataset(images: Tensor) -> BaseDataset:
    return BaseDataset(images, torch.ones(len(images)))


if __name__ == "__main__":
    run(Path(sys.argv[1]))
