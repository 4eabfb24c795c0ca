"""The blocking client."""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evenface_client import _operations as operations
from evenface_client import results
from evenface_client._connection import Connection
from evenface_client._editing import Change, edit
from evenface_client._inputs import Images
from evenface_client._operations import WeightSource
from evenface_client._requests import Attributes, Noise, Target, Weighing
from evenface_client._settings import wanted
from evenface_client._wires import classify_wire, encode_wire


class Client(Connection):
    """Calls an evenface server and waits for the answers. May be shared between threads.

    Common to all methods: `model` names the model (empty: the server's default) and `version` its
    version (empty: the newest); `timeout` is what each request may take, where it is not to be
    the client's. Inputs past the server's limits are cut into several requests, and the replies
    are joined as if there had been one.

    Images are uint8 arrays [H, W, C] or [N, H, W, C] with C 1 or 3, Pillow images, paths (files
    are sent as they are), the bytes of files, or an iterable of any of these in any sizes.

    Every error is an `EvenfaceClientError`; see `evenface_client.errors` for the tree.

    Args:
        server: Address, "host:port" or any gRPC target.
        timeout: Seconds that one request may take, retries included.
        tls: How to speak TLS; None for plain text.
        retries: How often a request is tried again while the server is overloaded or cannot be
            reached, 0 to 4.
        request_id: Makes the id that the requests of a call carry to the server's log.
        token: API token, for servers that ask for one; sent in plain text to this machine alone.
        channel: Used in place of `server`, `tls` and its own retries; the caller closes it, and
            answers for where a token goes.

    Raises:
        InvalidRequest: A setting cannot be used.
    """

    def encode(
        self,
        images: Images,
        *,
        sample_seed: int | None = None,
        first_item: int = 0,
        with_probabilities: bool = False,
        model: str = "",
        version: str = "",
        timeout: float | None = None,
    ) -> results.Encoding:
        """Encode images to the mean and log-variance of their latents.

        Args:
            images: N images.
            sample_seed: When given, the result has a sample of each posterior too; that of image
                i depends on (sample_seed, first_item + i) alone.
            first_item: Number of the first image for the noise.
            with_probabilities: Whether the result says of each image whether it is a face, too.
            model: See the class.
            version: See the class.
            timeout: See the class.
        """
        target = Target(model, version)
        asked = wanted(sample_seed, first_item, probabilities=with_probabilities)
        return self._run(operations.encode(self._knowledge, target, images, asked), timeout)

    def decode(
        self,
        latents: ArrayLike,
        *,
        attributes: Attributes = None,
        color: bool = False,
        model: str = "",
        version: str = "",
        timeout: float | None = None,
    ) -> results.Decoded:
        """Decode latents to images.

        Args:
            latents: float [N, D] or [D], finite.
            attributes: Strength by attribute name, for all items or one mapping an item.
            color: Whether the model's colorizer, where it has one, colours its grey images.
            model: See the class.
            version: See the class.
            timeout: See the class.
        """
        target = Target(model, version)
        return self._run(
            operations.decode(self._knowledge, target, latents, attributes, color=color), timeout
        )

    def sample(  # noqa: PLR0913
        self,
        count: int,
        *,
        seed: int = 0,
        first_item: int = 0,
        temperature: float | None = None,
        prior: results.Prior | None = None,
        attributes: Attributes = None,
        color: bool = False,
        model: str = "",
        version: str = "",
        timeout: float | None = None,
    ) -> results.Samples:
        """Draw new faces.

        Args:
            count: How many, ≥ 1.
            seed: Of the noise; face i depends on (seed, first_item + i) alone.
            first_item: Number of the first face.
            temperature: Factor on the noise, 0 to 10; None for 1.
            prior: "aggregate" (around the training set's latents), "normal" (standard normal);
                None for the first where the model knows it, else the second.
            attributes: Strength by attribute name, for all items or one mapping an item.
            color: Whether the model's colorizer, where it has one, colours its grey images.
            model: See the class.
            version: See the class.
            timeout: See the class.
        """
        draw = operations.Draw(
            count, Noise(seed, first_item), temperature, prior, attributes, color
        )
        target = Target(model, version)
        return self._run(operations.sample(self._knowledge, target, draw), timeout)

    def edit(
        self,
        images: Images | None = None,
        *,
        attributes: Mapping[str, float],
        steps: int = 1,
        latents: ArrayLike | None = None,
        color: bool = False,
        model: str = "",
        version: str = "",
        timeout: float | None = None,
    ) -> results.Edited:
        """Change attributes of faces, all alike: encode, move by name and strength, decode.

        Args:
            images: N images; or
            latents: float [N, D], such as those of `Samples`.
            attributes: Strength by name. Attribute vectors move the latent: 1 makes a typical face
                without the attribute one with it. A conditional model's decoder is told the value.
            steps: K, pictures of each face from 1/K of the strengths to all of them.
            color: As for `decode`.
            model: See the class.
            version: See the class.
            timeout: See the class.
        """
        change = Change(images, latents, attributes, steps, color)
        return self._run(edit(self._knowledge, Target(model, version), change), timeout)

    def classify(
        self,
        images: Images,
        *,
        threshold: float | None = None,
        model: str = "",
        version: str = "",
        timeout: float | None = None,
    ) -> results.Classification:
        """Tell face from non-face.

        Args:
            images: N images.
            threshold: Probability from which an image counts as a face; None for the model's.
            model: See the class.
            version: See the class.
            timeout: See the class.
        """
        target = Target(model, version)
        return self._run(operations.classify(self._knowledge, target, images, threshold), timeout)

    def resample_weights(  # noqa: PLR0913
        self,
        images: Images | None = None,
        *,
        latents: ArrayLike | None = None,
        logits: ArrayLike | None = None,
        histogram: results.Histogram | None = None,
        edges: NDArray[np.float64] | None = None,
        rule: str = "",
        bins: int | None = None,
        smoothing: float | None = None,
        min_effective_sample_size: float = 0.0,
        model: str = "",
        version: str = "",
        timeout: float | None = None,
    ) -> results.Weighting:
        """Weight items for resampling: high for rare faces, low for common ones.

        Items past the server's limits are weighted here, by the code that the server runs, on
        latents that the server computes: tempering must see all items at once.

        Args:
            images: N images; or
            latents: float [N, D], such as the mean of an `Encoding`; or
            logits: float [N], such as those of `Classification`, for a rule that reads them.
            histogram: Of a larger population, by which rarity is judged; None for the items'.
            edges: float64 [D, B + 1], bins to count the items in, so that the histograms of
                several calls can be merged.
            rule: "lab" and "paper" read latents, "hard" reads logits; empty for "lab".
            bins: Bins per dimension without histogram and edges; None for 10.
            smoothing: Added to the density; None for 0.001.
            min_effective_sample_size: Share of N, 0 to 1, that tempering must reach.
            model: See the class.
            version: See the class.
            timeout: See the class.
        """
        weighing = Weighing(rule, bins, smoothing, min_effective_sample_size, histogram, edges)
        source = WeightSource(images, latents, logits)
        operation = operations.resample_weights(
            self._knowledge, Target(model, version), source, weighing
        )
        return self._run(operation, timeout)

    def encode_stream(
        self,
        images: Images,
        *,
        sample_seed: int | None = None,
        first_item: int = 0,
        with_probabilities: bool = False,
        model: str = "",
        version: str = "",
        timeout: float | None = None,
    ) -> Iterator[results.Outcome[results.EncodedImage]]:
        """Encode any number of images on one stream, in constant memory.

        Yields one outcome for each image, in order. An image that cannot be used is an outcome
        with an `InvalidRequest` and does not end the stream; `Outcome.unwrap` raises it. What
        concerns every image (no such model, no connection) is raised from the iterator. A stream
        that breaks is opened again and goes on where it was. `timeout` is the longest wait for
        a reply. `images` is read in the caller's thread, a bounded number ahead.

        Args:
            images: The images; an iterable is read as the stream goes on.
            sample_seed: As for `encode`.
            first_item: As for `encode`.
            with_probabilities: As for `encode`.
            model: See the class.
            version: See the class.
            timeout: See above.
        """
        asked = wanted(sample_seed, first_item, probabilities=with_probabilities)
        wire = encode_wire(Target(model, version), asked)
        return self._stream(wire, images, timeout)

    def classify_stream(
        self,
        images: Images,
        *,
        threshold: float | None = None,
        model: str = "",
        version: str = "",
        timeout: float | None = None,
    ) -> Iterator[results.Outcome[results.ClassifiedImage]]:
        """Classify any number of images on one stream; as `encode_stream`.

        Args:
            images: The images.
            threshold: As for `classify`.
            model: See the class.
            version: See the class.
            timeout: As for `encode_stream`.
        """
        return self._stream(classify_wire(Target(model, version), threshold), images, timeout)

    def models(self, *, timeout: float | None = None) -> tuple[results.ModelInfo, ...]:
        """List all models and versions that are served."""
        return self._run(self._knowledge.refresh(), timeout).models

    def limits(self, *, timeout: float | None = None) -> results.Limits:
        """The server's limits; asked for once, and again by `models`."""
        return self._run(self._knowledge.served(), timeout).limits

    def model(
        self, name: str = "", version: str = "", *, timeout: float | None = None
    ) -> results.ModelDetails:
        """Describe one model in full.

        Args:
            name: Empty for the server's default.
            version: Empty for the newest.
            timeout: See the class.
        """
        return self._run(operations.model(Target(name, version)), timeout)
