"""A bundle in this process, opened by ONNX Runtime: what workers of an engine score with."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from evenface_core.bundle import Bundle, open_bundle
from evenface_core.errors import InvalidInput
from evenface_core.images import UInt8, load_image
from evenface_core.signatures import Trust
from evenface_runtime import Model, choose_device, open_model

from evenface_batch.plan import ModelFacts, require_digest
from evenface_batch.scores import Scores
from evenface_batch.text import one_line


@dataclass(frozen=True)
class LocalModel:
    """A bundle's folder. Small, and picklable: workers open it where they are.

    Attributes:
        path: The folder of one version.
        device: As `evenface_runtime.choose_device` takes it: auto, cpu, cuda or tensorrt.
        threads: Threads within one run on the CPU.
        trust: Whose signature the bundle needs; None for no signature.
        digest: SHA-256 that its manifest must have; empty for any.
    """

    path: Path
    device: str = "cpu"
    threads: int = 1
    trust: Trust | None = None
    digest: str = ""

    def bundle(self) -> Bundle:
        """Verify the bundle.

        Raises:
            BundleError: It is not there, damaged, or not signed as it has to be.
            JobError: It is another than it must be.
        """
        bundle = open_bundle(self.path)
        if self.trust is not None:
            self.trust.check(bundle)
        require_digest(str(self.path), bundle.digest, self.digest)
        return bundle

    def facts(self) -> ModelFacts:
        """Verify the bundle and say what it is.

        Raises:
            BundleError: As `bundle`.
            JobError: As `bundle`, or it cannot encode.
        """
        bundle = self.bundle()
        manifest = bundle.manifest
        return ModelFacts.of(
            str(self.path),
            manifest.functions,
            name=manifest.name,
            version=manifest.version,
            digest=bundle.digest,
            latent_size=manifest.latent_size,
        )

    def only(self, facts: ModelFacts) -> "LocalModel":
        """This bundle as these facts are of it, and no other that takes its place.

        Its signature has been checked for them, and what has the digest is what was signed.
        """
        return replace(self, digest=facts.digest, trust=None)

    def open(self) -> "LocalScorer":
        """Open its graphs.

        Raises:
            BundleError: As `bundle`, or one is refused.
            ConfigError: The device cannot be used.
            JobError: As `bundle`.
        """
        device = choose_device(self.device)  # type: ignore[arg-type]
        return LocalScorer(open_model(self.bundle(), device, threads=self.threads))


class LocalScorer:
    """Scores with a model in this process; images are decoded and cropped as the server does.

    Args:
        model: A model that can encode.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._classifies = "classify" in model.manifest.functions

    def score(self, images: Sequence[bytes]) -> Scores:
        """Score images, as `scores.Scorer` says."""
        count, spec = len(images), self._model.manifest.preprocessing
        loaded = [self._load(data) for data in images]
        good = [place for place, image in enumerate(loaded) if not isinstance(image, str)]
        means = np.zeros((count, self._model.manifest.latent_size), np.float32)
        logits = np.zeros(count, np.float32) if self._classifies else None
        if good:
            pixels = np.empty((len(good), spec.size, spec.size, spec.channels), np.uint8)
            for row, place in enumerate(good):
                pixels[row] = loaded[place]
            if logits is None:
                means[good] = self._model.encode(pixels)[0]
            else:
                means[good], _, logits[good] = self._model.encode_and_classify(pixels)
        errors = [image if isinstance(image, str) else None for image in loaded]
        return Scores(means, logits, errors)

    def _load(self, data: bytes) -> UInt8 | str:
        try:
            return load_image(data, self._model.manifest.preprocessing)
        except InvalidInput as error:
            kind = "" if error.limit is None else "too large: "
            return one_line(kind + error.problem)
