"""What the service does, on domain values. Transport-free: knows nothing of gRPC or protobuf.

Every call goes the same way: find the model, check the input, be admitted, prepare, run, answer.
Every method raises `evenface_core.errors.EvenfaceError` for what the caller can mend.
"""

import functools
import time
from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, TypeVar

import numpy as np
from evenface_core.errors import QueueFull
from evenface_core.images import encode_image
from evenface_core.latents import posterior_sample, standard_normal
from evenface_core.manifest import FunctionName
from evenface_core.resampling import LatentHistogram, Weights
from evenface_core.rules import RULES
from numpy.typing import NDArray

from evenface_server import intake, maths
from evenface_server.admission import Door, Gate, Place, Room
from evenface_server.attributes import apply_attributes
from evenface_server.batching import Lane
from evenface_server.calls import (
    ClassifyCall,
    Decisions,
    DecodeCall,
    EncodeCall,
    Given,
    Latents,
    Pictures,
    SampleCall,
    Target,
    Weighting,
    WeightsCall,
)
from evenface_server.drift import ServedLatents
from evenface_server.intake import Limits
from evenface_server.logs import note_rows
from evenface_server.models.registry import Registry, ServedModel
from evenface_server.pace import Pace
from evenface_server.workshop import Workshop

Float32 = NDArray[np.float32]

_FLOAT32_BYTES = 4
_BIN_BYTES = 16  # an edge and a count
_RGB = 3
# Arithmetic on so few latents takes less than 0.3 ms, about as long as waiting for a thread.
_FEW = 16
# What requests hold beyond what was sent, images at the models' size and histograms: a small file
# becomes a large image, and so does a latent; one latent may be weighted in 1,000 bins.
_ROOM_BYTES = 512 * 2**20

P = ParamSpec("P")
R = TypeVar("R")

CallT = TypeVar("CallT", bound=EncodeCall | ClassifyCall | DecodeCall | SampleCall | WeightsCall)
AnswerT = TypeVar("AnswerT")
Method = Callable[["Engine", CallT], Awaitable[AnswerT]]
Work = Callable[["Engine", CallT, ServedModel], Awaitable[AnswerT]]


def _through_door(work: Work[CallT, AnswerT]) -> Method[CallT, AnswerT]:
    """Make a call enter by the engine's door and hold the model that it means until it is answered.

    So draining waits for the call, and a model that is taken out waits for its calls.
    """

    @functools.wraps(work)
    async def entered(engine: "Engine", call: CallT) -> AnswerT:
        target = call.target
        with engine.door.enter(), engine.registry.route(target.model, target.version) as served:
            return await work(engine, call, served)

    return entered


class Engine:
    """The service without a transport.

    Args:
        registry: The models.
        limits: What a request may ask for.
        workshop: Threads for work on single images.
        max_queue_rows: Latents being weighted at most, as lanes have it for their functions.
    """

    def __init__(
        self, registry: Registry, limits: Limits, workshop: Workshop, *, max_queue_rows: int
    ) -> None:
        self.registry = registry
        self.limits = limits
        self.latents = ServedLatents()
        self._workshop = workshop
        self.door = Door()
        self._room = Room(_ROOM_BYTES)
        self._weighing_pace = Pace()
        self._weighing = Gate(
            "weights",
            max_queue_rows,
            turn_rows=max_queue_rows,
            pace=self._weighing_pace,
            own_pace=self._weighing_pace,
        )

    @_through_door
    async def encode(self, call: EncodeCall, served: ServedModel) -> Latents:
        """Encode images; with a seed, sample their posteriors too; classify them, if asked to."""
        served.model.require("encode")
        if call.with_probabilities:
            served.model.require("classify")
        batch = intake.receive(call.images, served.manifest.preprocessing, self.limits)
        size = served.manifest.latent_size
        numbers = 3 * size + 2 * call.with_probabilities
        self.limits.check_reply("images", batch.count, numbers * _FLOAT32_BYTES)
        maths.check_items(call.first_item, 0 if call.sample_seed is None else batch.count)
        with self._admit_images(served, "encode", batch, call.target) as place:
            if call.with_probabilities and not served.manifest.encode_classifies:
                outputs = await self._encode_and_classify(served, call, batch, place)
            else:
                outputs = await self._run(served, "encode", batch, place, call.requests)
            mean, log_variance, *logits = outputs
            self.latents.note(served.manifest, mean)
            sample = None
            if call.sample_seed is not None:
                items = range(call.first_item, call.first_item + batch.count)
                noise = await self._compute(
                    batch.count, standard_normal, call.sample_seed, items, size
                )
                sample = posterior_sample(mean, log_variance, noise)
        found = logits[0] if call.with_probabilities else None
        return Latents(served.name, mean, log_variance, sample, found)

    @_through_door
    async def classify(self, call: ClassifyCall, served: ServedModel) -> Decisions:
        """Tell faces from other images."""
        served.model.require("classify")
        batch = intake.receive(call.images, served.manifest.preprocessing, self.limits)
        threshold = maths.pick_threshold(call.threshold, served.manifest)
        with self._admit_images(served, "classify", batch, call.target) as place:
            (logits,) = await self._run(served, "classify", batch, place, call.requests)
        probabilities = maths.logistic(logits)
        is_face = probabilities >= threshold
        return Decisions(served.name, logits, probabilities, is_face, float(threshold))

    @_through_door
    async def decode(self, call: DecodeCall, served: ServedModel) -> Pictures:
        """Decode latents."""
        served.model.require("decode")
        self.limits.check_count("latents", len(call.latents))
        latents = maths.check_latents(call.latents, served.manifest)
        size = self._check_pictures(served, call, "latents", len(latents))
        with (
            self._admit(served, "decode", len(latents), call.target) as place,
            self._room.hold("latents", size),
        ):
            return await self._draw(served, latents.astype(np.float32, copy=False), call, place)

    @_through_door
    async def sample(self, call: SampleCall, served: ServedModel) -> Pictures:
        """Draw new faces."""
        served.model.require("decode")
        self.limits.check_count("count", call.count)
        maths.check_items(call.first_item, call.count)
        size = self._check_pictures(served, call, "count", call.count)
        with (
            self._admit(served, "decode", call.count, call.target) as place,
            self._room.hold("count", size),
        ):
            latents = await self._compute(call.count, maths.draw_latents, call, served.manifest)
            return await self._draw(served, latents, call, place)

    @_through_door
    async def weigh(self, call: WeightsCall, served: ServedModel) -> Weighting:
        """Compute resampling weights."""
        options = maths.weighing_options(call)
        rows = await self._rows(served, call, options["rule"])
        field, bins = maths.bins_of(call)
        self.limits.check_weighting(field, len(rows), rows.shape[1], bins)
        size = rows.shape[1] * (bins + 1) * _BIN_BYTES
        with self._weighing.admit(len(rows)), self._room.hold(field, size):
            histogram, weights = await self._weigh_rows(rows, call, options)
        return Weighting(served.name, weights, histogram)

    def refusal(self, function: FunctionName, target: Target) -> QueueFull | None:
        """Return why a call that begins to come in now would be refused; None lets it come.

        Where several versions may get it, none of them must have room or time for it.

        Args:
            function: What it asks for.
            target: Which model, and until when.
        """
        error = None
        if self.door.is_closed:
            return None  # it will be told so
        for served in self.registry.candidates(target.model, target.version):
            lane = served.lanes.get(function)
            error = None if lane is None else lane.refusal(target.deadline)
            if error is None:
                return None
        return error

    async def drain(self) -> None:
        """Let no more calls in, and wait until those inside have been answered."""
        self.door.close()
        await self.door.empty()

    def stop(self) -> None:
        """Let go of all threads."""
        self._workshop.stop()
        for served in self.registry:
            served.stop()

    def _admit(
        self,
        served: ServedModel,
        function: FunctionName,
        rows: int,
        target: Target,
        ready_in: float = 0.0,
    ) -> Place:
        """Hold room for a call's rows until it is answered; all work on it is done inside."""
        place = served.lanes[function].admit(rows, target.deadline, ready_in=ready_in)
        try:
            note_rows(served.manifest.name, served.manifest.version, rows)
        except BaseException:
            place.__exit__(None, None, None)
            raise
        return place

    def _admit_images(
        self, served: ServedModel, function: FunctionName, batch: intake.Batch, target: Target
    ) -> Place:
        ready_in = 0.0 if batch.is_small else self._workshop.seconds_for(batch.work)
        return self._admit(served, function, batch.count, target, ready_in)

    def _run(
        self,
        served: ServedModel,
        function: FunctionName,
        batch: intake.Batch,
        place: Place,
        requests: int = 1,
    ) -> Awaitable[tuple[NDArray[Any], ...]]:
        lane = served.lanes[function]
        if not batch.work:
            return lane.run((batch.as_they_are(),), place, requests)
        return self._run_loaded(lane, batch, place, requests)

    async def _run_loaded(
        self, lane: Lane, batch: intake.Batch, place: Place, requests: int
    ) -> tuple[NDArray[Any], ...]:
        with self._room.hold("images", batch.bytes_when_loaded):
            if batch.is_small:
                return await lane.run(batch.load_small, place, requests)
            pixels = await batch.load(self._workshop, place.deadline)
            return await lane.run((pixels,), place, requests)

    async def _encode_and_classify(
        self, served: ServedModel, call: EncodeCall, batch: intake.Batch, place: Place
    ) -> tuple[NDArray[Any], ...]:
        """Mean, log-variance and logits by two runs, as bundles of before need it."""
        with self._room.hold("images", batch.bytes_when_loaded):
            pixels = (await batch.load(self._workshop, place.deadline),)
            mean, log_variance = await served.lanes["encode"].run(pixels, place, call.requests)
            with self._admit(served, "classify", batch.count, call.target) as judging:
                (logits,) = await served.lanes["classify"].run(pixels, judging, call.requests)
        return mean, log_variance, logits

    async def _compute(
        self, items: int, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Call a function that takes some microseconds an item, in a thread if it takes long."""
        if items <= _FEW:
            return function(*args, **kwargs)
        return await self._workshop.run(function, *args, **kwargs)

    async def _rows(self, served: ServedModel, call: WeightsCall, rule: str) -> NDArray[Any]:
        """What the rule reads, [N, D]: that given, or what the model says of the images given."""
        function: FunctionName = "encode" if RULES[rule].reads == "latents" else "classify"
        if isinstance(call.source, Given):
            self.limits.check_count(call.source.what, len(call.source.values))
            rows = maths.check_given(call.source, rule, served.manifest)
            note_rows(served.manifest.name, served.manifest.version, len(rows))
            return rows
        served.model.require(function)
        batch = intake.receive(call.source, served.manifest.preprocessing, self.limits)
        with self._admit_images(served, function, batch, call.target) as place:
            found, *_ = await self._run(served, function, batch, place)
        return found.reshape(batch.count, -1)

    async def _weigh_rows(
        self, rows: NDArray[Any], call: WeightsCall, options: dict[str, Any]
    ) -> tuple[LatentHistogram, Weights]:
        started = time.monotonic()
        found = await self._workshop.run(maths.weigh_rows, rows, call, options)
        self._weighing_pace.note(len(rows), time.monotonic() - started)
        return found

    async def _draw(
        self, served: ServedModel, latents: Float32, call: DecodeCall | SampleCall, place: Place
    ) -> Pictures:
        inputs = await self._compute(
            len(latents), apply_attributes, served.manifest, latents, call.attributes
        )
        (images,) = await served.lanes["decode"].run(inputs, place)
        if call.color:
            with self._admit(served, "colorize", len(images), call.target) as painting:
                (images,) = await served.lanes["colorize"].run((images,), painting)
        kind = call.file_format
        if kind is None:
            return Pictures(served.name, images, latents)
        files = await self._workshop.each(
            lambda _, image: encode_image(image, kind), images, work=images.size
        )
        mean_bytes = sum(map(len, files)) // len(files) + latents.shape[1] * _FLOAT32_BYTES
        self.limits.check_reply("format", len(files), mean_bytes)
        return Pictures(served.name, files, latents)

    def _check_pictures(
        self, served: ServedModel, call: DecodeCall | SampleCall, field: str, count: int
    ) -> int:
        """Check the size of a raw reply; that of files is known only once they are made.

        Returns:
            Bytes of the raw pictures.
        """
        spec = served.manifest.preprocessing
        if call.color:
            served.model.require("colorize")
        pixels = spec.size**2 * (_RGB if call.color else spec.channels)
        latents = served.manifest.latent_size * _FLOAT32_BYTES
        self.limits.check_reply(field, count, latents + (0 if call.file_format else pixels))
        return count * pixels
