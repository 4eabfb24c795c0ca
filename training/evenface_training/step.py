"""What a step changes: the model, its optimizer and the average of its weights."""

import importlib.util
import shutil
from collections.abc import Mapping

import torch
from evenface_core.errors import TrainingError
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch._dynamo.exc import TorchDynamoException

from evenface_training.averaging import AveragedModel
from evenface_training.batch_norm import share_statistics
from evenface_training.config import LossConfig, TrainingConfig
from evenface_training.device import memory_format
from evenface_training.models import Conditions, FaceModel, FitComponents, Output, build_model
from evenface_training.objective import loss_terms, total_loss
from evenface_training.schedule import kl_share, learning_rate


class Objective(nn.Module):
    """From images to the loss and its terms, so that both are compiled as one.

    Args:
        model: What is trained.
        loss: Terms and weights.
    """

    def __init__(self, model: FaceModel, loss: LossConfig) -> None:
        super().__init__()
        self.model, self.loss = model, loss
        self.kl_share: Tensor
        # A buffer, because a compiled step would be compiled again for every number.
        self.register_buffer("kl_share", torch.ones(()), persistent=False)

    @property
    def names(self) -> tuple[str, ...]:
        """What `forward` gives figures of."""
        kinds = self.model.config
        terms = ["classification"] * kinds.classifies + ["kl", "reconstruction"] * kinds.generates
        terms += ["reconstruction"] * kinds.colours
        if (kinds.generates or kinds.colours) and self.loss.ssim_weight:
            terms.append("dissimilarity")
        terms += ["luminance"] * kinds.colours
        return ("loss", *terms)

    def forward(
        self, images: Tensor, faces: int, eps: Tensor | None, conditions: Conditions | None
    ) -> tuple[Tensor, Tensor]:
        """Give the loss and, by `names`, the figures of a batch whose first images are faces."""
        output: Output = self.model(images, eps, conditions)
        # The network may be in bfloat16, and Fabric rounds the images to it; the loss never is, for
        # SSIM takes differences of nearly equal numbers.
        output = Output(*(None if part is None else part.float() for part in output))
        with torch.autocast(images.device.type, enabled=False):
            terms = loss_terms(output, images.float(), faces, self.loss)
            loss = total_loss(terms, self.loss, self.kl_share)
        return loss, torch.stack([loss, *terms.means().values()]).detach()


class Stepper:
    """Takes steps.

    Args:
        config: What to do.
        fabric: Where to compute.
        total_steps: Steps of the whole run, for the schedule.

    Attributes:
        model: The model that is trained.
        averaged: The average of its weights.
        names: What the figures of a step are.
    """

    def __init__(self, config: TrainingConfig, fabric: Fabric, total_steps: int) -> None:
        self._settings, self._fabric, self._total_steps = config.optimizer, fabric, total_steps
        self._kl_warmup_epochs = config.loss.kl_warmup_epochs
        self.model = build_model(config.model, config.seed)
        self.model.to(memory_format=memory_format(fabric.device))  # type: ignore[call-overload]
        if fabric.world_size > 1:
            share_statistics(self.model, fabric.device)
        raw = torch.optim.Adam(
            self.model.parameters(),
            lr=self._settings.learning_rate,
            fused=fabric.device.type in ("cpu", "cuda"),
        )
        objective = Objective(self.model, config.loss)
        self.names, self._plain_objective = objective.names, objective
        self._compiled = _is_compiled(config, fabric.device)
        if self._compiled:
            mode = "reduce-overhead" if fabric.device.type == "cuda" else "default"
            objective = torch.compile(objective, mode=mode)  # type: ignore[assignment]
        self._objective, self._optimizer = fabric.setup(objective, raw)
        self._raw_optimizer = raw
        self.averaged = AveragedModel(self.model, self._settings.ema_decay)

    def start(self, fit: FitComponents) -> None:
        """Set the weights that the training faces decide, before the first step.

        Args:
            fit: As in `FaceModel.start`.
        """
        self.model.start(fit)
        self.averaged.model.load_state_dict(self.model.state_dict())

    def begin(self) -> None:
        """Go back to training mode."""
        self._objective.train()

    def take(
        self, step: int, images: Tensor, faces: int, noise: tuple[Tensor | None, Conditions | None]
    ) -> Tensor:
        """Take one step.

        Args:
            step: Steps taken before.
            images: float32 [N, C, S, S] in [0, 1], faces first.
            faces: How many are faces.
            noise: Standard normal [F, L], and what is told of the faces; each where the model
                has a use for it.

        Returns:
            Its figures by `names`, still on the device.

        Raises:
            TrainingError: The step cannot be compiled.
        """
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate(step, self._total_steps, self._settings)
        if self._kl_warmup_epochs:
            share = kl_share(step, self._total_steps, self._settings.epochs, self._kl_warmup_epochs)
            self._plain_objective.kl_share.fill_(share)
        self._optimizer.zero_grad()
        try:
            loss, figures = self._objective(images, faces, *noise)
            self._fabric.backward(loss)
        except TorchDynamoException as error:
            reason = str(error).strip().splitlines()[0]
            raise TrainingError(f"compile {reason}; set compute.compile to off") from error
        if self._settings.gradient_clip:
            self._fabric.clip_gradients(
                self._objective, self._optimizer, max_norm=self._settings.gradient_clip
            )
        self._optimizer.step()
        self.averaged.update(step)
        taken: Tensor = figures
        return taken

    def tensors(self) -> dict[str, Tensor]:
        """Everything that is needed to go on, by dotted name."""
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"averaged.{k}": v for k, v in self.averaged.model.state_dict().items()}
        for index, state in self._raw_optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": value for name, value in state.items()}
        return tensors

    def load(
        self,
        model: Mapping[str, Tensor],
        averaged: Mapping[str, Tensor],
        optimizer: Mapping[str, Tensor],
    ) -> None:
        """Go back to what `tensors` gave.

        Raises:
            RuntimeError: The tensors are those of another model.
            ValueError: As before.
        """
        self.model.load_state_dict(model)
        self.averaged.model.load_state_dict(averaged)
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in optimizer.items():
            index, _, key = name.partition(".")
            state.setdefault(int(index), {})[key] = value
        groups = self._raw_optimizer.state_dict()["param_groups"]
        self._raw_optimizer.load_state_dict({"state": state, "param_groups": groups})
        # A file keeps no memory format; fused Adam needs each tensor to lie as its parameter does.
        for parameter, values in self._raw_optimizer.state.items():
            for key, value in values.items():
                if value.shape == parameter.shape:
                    values[key] = torch.empty_like(parameter).copy_(value)


def _is_compiled(config: TrainingConfig, device: torch.device) -> bool:
    wanted = config.compute.compile
    if wanted == "auto":
        return device.type == "cuda" and importlib.util.find_spec("triton") is not None
    if wanted == "on" and device.type == "cpu" and shutil.which("g++") is None:
        raise TrainingError("compute.compile on needs g++ on a CPU; install it or set it to off")
    return wanted == "on"
