"""Requests that are made up and spoiled: in their image files, in their fields, in their bytes."""

import random
import struct
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from evenface.v1 import common_pb2, face_service_pb2, model_service_pb2
from google.protobuf.message import Message
from PIL import Image

from support import image_files
from support.bundles import LATENT, SIZE
from support.messages import files, raw, tensor

FACE, MODEL = "/evenface.v1.FaceService/", "/evenface.v1.ModelService/"
_MODES = ("RGB", "L", "RGBA", "P", "1", "CMYK", "I", "LA")
_NUMBERS = (0, 1, 2, 7, 16, 255, 256, 1 << 15, (1 << 31) - 1, (1 << 32) - 1, (1 << 63) - 1)
_REALS = (0.0, -0.0, 1.0, -1.0, 1e-300, 1e38, 3.5e38, 1e308, float("nan"), float("inf"))
_TEXTS = ("", "faces", "1", "lab", "paper", "no", "a" * 300, "../x", "é\u2028", "\x00")
_SIDES = (1, 2, 8, 15, 16, 17, 31, 64)


class Requests:
    """Makes requests, all of them from one source of chance.

    Args:
        chance: The source.
    """

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def next(self) -> tuple[str, bytes]:
        """Return an RPC's path and the bytes of a request."""
        chance = self._chance
        path, make = chance.choice(_KINDS)
        request = make(self)
        for _ in range(chance.choice((0, 0, 1, 1, 2, 5))):
            self.spoil_fields(request)
        data = request.SerializeToString()
        return path, self.spoil(data) if chance.random() < 0.3 else data

    def together(self) -> tuple[str, list[bytes]]:
        """Return an RPC's name and requests for it, most of them alike, as streams bring them."""
        chance = self._chance
        name, make = chance.choice(
            (("Encode", Requests.encode), ("ClassifyFace", Requests.classify))
        )
        side, requests = chance.choice((SIZE, SIZE, SIZE, 8, 17)), []
        more = {"with_probabilities": True} if name == "Encode" and chance.random() < 0.3 else {}
        for _ in range(chance.choice((1, 2, 5, 20, 40))):
            request: Any = make(self)
            if chance.random() < 0.8:
                count = chance.choice((1, 1, 1, 1, 2, 4, 5))
                pixels = np.frombuffer(chance.randbytes(count * side * side * 3), np.uint8)
                request = type(request)(images=raw(pixels.reshape(count, side, side, 3)), **more)
            for _ in range(chance.choice((0, 0, 0, 0, 0, 1, 2))):
                self.spoil_fields(request)
            requests.append(request.SerializeToString())
        return name, requests

    def picture(self) -> bytes:
        """An image file of any kind, spoiled as often as not."""
        chance = self._chance
        data = chance.choice(_FILES)(self)
        return self.spoil(data) if chance.random() < 0.6 else data

    def plain(self) -> bytes:
        """A file as Pillow writes it, in any mode that its format has."""
        chance = self._chance
        size = chance.choice(_SIDES), chance.choice(_SIDES)
        kind, mode = chance.choice(("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")), "RGB"
        image = Image.frombytes("RGB", size, chance.randbytes(3 * size[0] * size[1]))
        options: dict[str, Any] = {}
        if kind == "JPEG":
            mode = chance.choice(("RGB", "L", "CMYK"))
            options = {"quality": chance.choice((1, 50, 100)), "progressive": chance.random() < 0.5}
        elif kind in {"PNG", "TIFF"}:
            mode = chance.choice(_MODES)
        exif = Image.Exif()
        exif[0x0112] = chance.choice((1, 2, 3, 6, 8, 0, 99))
        if kind in {"PNG", "JPEG", "WEBP"} and mode not in {"I", "LA"}:
            options["exif"] = exif
        try:
            return image_files.saved(image.convert(mode), kind, **options)
        except (OSError, ValueError):  # not every format has every mode
            return image_files.saved(image, "PNG")

    def spoil(self, data: bytes) -> bytes:
        """Change bytes, lose or double a part, or put another in."""
        chance = self._chance
        out = bytearray(data)
        for _ in range(chance.choice((1, 1, 2, 4, 16))):
            if not out:
                return bytes(out)
            at = chance.randrange(len(out))
            end = min(len(out), at + chance.choice((1, 2, 4, 16, 256)))
            match chance.randrange(7):
                case 0:
                    out[at] = chance.randrange(256)
                case 1:
                    out[at] ^= 1 << chance.randrange(8)
                case 2:
                    del out[at:end]
                case 3:
                    out[at:at] = out[at:end]
                case 4:
                    del out[at:]
                case 5:
                    kind = chance.choice((">H", "<H", ">I", "<I"))
                    number = chance.choice(_NUMBERS) & (0xFFFF if "H" in kind else 0xFFFFFFFF)
                    piece = struct.pack(kind, number)
                    out[at : at + len(piece)] = piece
                case _:
                    out[at:at] = chance.randbytes(end - at)
        return bytes(out)

    def spoil_fields(self, message: Message) -> None:
        """Give a field of a message, or of one within it, some other value, or none."""
        chance = self._chance
        inner = [value for _, value in message.ListFields() if isinstance(value, Message)]
        if inner and chance.random() < 0.6:
            self.spoil_fields(chance.choice(inner))
            return
        field: Any = chance.choice(list(message.DESCRIPTOR.fields))
        if chance.random() < 0.2:
            message.ClearField(field.name)
            return
        values = _VALUES.get(field.cpp_type)
        if values is None:
            return
        try:
            if field.is_repeated:
                getattr(message, field.name).extend(
                    chance.choice(values) for _ in range(chance.choice((1, 2, 9)))
                )
            elif field.type == field.TYPE_BYTES:
                setattr(message, field.name, self.spoil(getattr(message, field.name) or b"x"))
            else:
                setattr(message, field.name, chance.choice(values))
        except (ValueError, TypeError, AttributeError):  # that value is not for this field
            return

    def encode(self) -> Message:
        """An EncodeRequest."""
        return face_service_pb2.EncodeRequest(images=self.images(), model=self.name())

    def classify(self) -> Message:
        """A ClassifyFaceRequest."""
        return face_service_pb2.ClassifyFaceRequest(images=self.images(), model=self.name())

    def decode(self) -> Message:
        """A DecodeRequest."""
        request = face_service_pb2.DecodeRequest(latents=self.latents(), model=self.name())
        request.format = self._chance.randrange(6)  # type: ignore[assignment]
        return request

    def sample(self) -> Message:
        """A SampleRequest."""
        count = self._chance.choice((0, 1, 3, 17, 1 << 30))
        return face_service_pb2.SampleRequest(count=count, seed=self._chance.randrange(1 << 63))

    def weights(self) -> Message:
        """A ResampleWeightsRequest."""
        chance = self._chance
        request = face_service_pb2.ResampleWeightsRequest(rule=chance.choice(("lab", "paper", "x")))
        if chance.random() < 0.5:
            request.images.CopyFrom(self.images())
        else:
            request.latents.CopyFrom(self.latents())
        edges = np.sort(np.array([[chance.choice(_REALS) for _ in range(5)] for _ in range(4)]))
        if chance.random() < 0.3:
            request.edges.CopyFrom(tensor(edges))
        elif chance.random() < 0.3:
            request.histogram.edges.CopyFrom(tensor(edges))
            counts = [[chance.choice((0, 1, 9, -1, 1 << 62)) for _ in range(4)] for _ in range(4)]
            request.histogram.counts.CopyFrom(tensor(np.array(counts, np.int64)))
        return request

    def models(self) -> Message:
        """A GetModelRequest."""
        return model_service_pb2.GetModelRequest(model=self.name())

    def images(self) -> common_pb2.Images:
        """Images, raw or as files."""
        chance = self._chance
        count = chance.choice((0, 1, 1, 2, 5))
        if chance.random() < 0.7:
            return files(*(self.picture() for _ in range(count)))
        side = chance.choice((SIZE, SIZE, *_SIDES))
        pixels = np.frombuffer(chance.randbytes(count * side * side * 3), np.uint8)
        return raw(pixels.reshape(count, side, side, 3))

    def latents(self) -> common_pb2.Tensor:
        """Latents, most of them of the right size."""
        chance = self._chance
        rows, size = chance.choice((0, 1, 2, 9)), chance.choice((LATENT, LATENT, LATENT, 3))
        values = [[chance.choice((*_REALS, chance.gauss(0, 1))) for _ in range(size)]] * rows
        with np.errstate(over="ignore"):
            array = np.array(values).reshape(rows, size)
            return tensor(array.astype(np.float32) if chance.random() < 0.8 else array)

    def name(self) -> str:
        """A model's name, most often that of the one there is."""
        is_right = self._chance.random() < 0.95
        return self._chance.choice(("", "faces") if is_right else _TEXTS)


def _empty(_: Requests) -> bytes:
    return b""


def _noise(requests: Requests) -> bytes:
    return requests._chance.randbytes(requests._chance.choice((1, 12, 300)))  # noqa: SLF001


def _small(requests: Requests) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.frombuffer(requests._chance.randbytes(300), np.uint8).reshape(10, 10, 3)  # noqa: SLF001


_FILES: Sequence[Callable[[Requests], bytes]] = (
    Requests.plain,
    Requests.plain,
    Requests.plain,
    Requests.plain,
    lambda requests: image_files.animated(_small(requests)),
    lambda requests: image_files.rotated(_small(requests)),
    lambda _: image_files.sixteen_bit(40_000, 9),
    lambda _: image_files.cmyk(1, 2, 3, 9),
    lambda _: image_files.bomb(60_000),
    _noise,
    _empty,
)
_KINDS: Sequence[tuple[str, Callable[[Requests], Message]]] = (
    (f"{FACE}Encode", Requests.encode),
    (f"{FACE}Encode", Requests.encode),
    (f"{FACE}Encode", Requests.encode),
    (f"{FACE}ClassifyFace", Requests.classify),
    (f"{FACE}Decode", Requests.decode),
    (f"{FACE}Sample", Requests.sample),
    (f"{FACE}ResampleWeights", Requests.weights),
    (f"{MODEL}GetModel", Requests.models),
)
_FIELD = next(iter(common_pb2.Tensor.DESCRIPTOR.fields))
_VALUES: dict[int, Sequence[Any]] = {
    _FIELD.CPPTYPE_INT32: _NUMBERS,
    _FIELD.CPPTYPE_INT64: _NUMBERS,
    _FIELD.CPPTYPE_UINT32: _NUMBERS,
    _FIELD.CPPTYPE_UINT64: _NUMBERS,
    _FIELD.CPPTYPE_DOUBLE: _REALS,
    _FIELD.CPPTYPE_FLOAT: _REALS,
    _FIELD.CPPTYPE_BOOL: (False, True),
    _FIELD.CPPTYPE_ENUM: range(-1, 7),
    _FIELD.CPPTYPE_STRING: _TEXTS,
}
