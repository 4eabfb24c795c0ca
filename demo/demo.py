"""Starts a server, calls each RPC through the Python client, says what happened, leaves pictures.

    python demo/demo.py --out demo-output

Needs no images: it works on faces that the model draws and on shapes that are no faces.
"""

# ruff: noqa: INP001 - a script, not a package

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from evenface_client import Client, Encoding, EvenfaceClientError, InvalidRequest, Samples
from evenface_core.latents import interpolate, traverse
from evenface_core.pictures import grid, save_png
from numpy.typing import NDArray

UInt8 = NDArray[np.uint8]
Float32 = NDArray[np.float32]

SEED = 7
FACES, SHOWN, STEPS, DIMENSIONS = 64, 8, 8, 10
SHOWN_FIGURES = ("accuracy", "auc", "reconstruction_psnr", "reconstruction_ssim")
SCALE_TO = 128  # pixels of an image in a picture


class DemoError(Exception):
    """The demo cannot go on; the message is one line."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; the exit code is 0 when every call was answered as it should be."""
    parser = argparse.ArgumentParser(description="Call each RPC of a fresh server.")
    parser.add_argument("--models", type=Path, default=Path("models"), help="folder of bundles")
    parser.add_argument("--out", type=Path, default=Path("demo-output"), help="for the pictures")
    args = parser.parse_args(argv)
    try:
        args.out.mkdir(parents=True, exist_ok=True)
        with serving(args.models) as address, Client(address) as client:
            client.wait_ready()
            Demo(client, args.out).run()
    except (DemoError, EvenfaceClientError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130
    say("server", "stopped")
    return 0


@contextmanager
def serving(models: Path) -> Iterator[str]:
    """Run the server on a free port until the context ends; yields its address."""
    command = [sys.executable, "-m", "evenface_server", "--models", str(models), "--port", "0"]
    # Settings of the surroundings are for other servers.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("EVENFACE_")}
    server = subprocess.Popen(  # noqa: S603
        [*command, "--no-metrics", "--log-level", "info"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        yield address_of(server)
    finally:
        server.terminate()
        server.communicate()
    if server.returncode:
        raise DemoError(f"the server ended with code {server.returncode}")


def address_of(server: "subprocess.Popen[str]") -> str:
    """Read the server's log up to the line that says where it listens."""
    for line in server.stdout or ():
        event = json.loads(line)
        if event["event"] == "serving":
            say("server", f"{event['address']} on {event['device']}, up in {event['seconds']} s")
            return str(event["address"])
    raise DemoError("the server did not start")


class Demo:
    """One call after the other.

    Args:
        client: Of the server.
        out: Folder for the pictures.
    """

    def __init__(self, client: Client, out: Path) -> None:
        self._client = client
        self._out = out

    def run(self) -> None:
        """Call everything."""
        self._models()
        drawn = self._sample()
        encoding = self._encode(drawn)
        self._decode(drawn, encoding)
        self._morph(encoding)
        self._traverse(encoding)
        self._classify(drawn)
        self._weights(drawn, encoding)
        self._streams(drawn, encoding)
        self._bad_input()

    def _models(self) -> None:
        limits = self._client.limits()
        for model in self._client.models():
            does = ", ".join(model.functions)
            say("ListModels", f"{model.name}/{model.version}: {model.kind}, {does}")
        say("ListModels", f"at most {limits.max_items_per_request} items a request")
        details = self._client.model()
        quality = details.info.quality
        figures = ", ".join(
            f"{name} {quality[name]:.3f}" for name in SHOWN_FIGURES if name in quality
        )
        say("GetModel", f"{details.info.name}: {figures or 'no figures'}")

    def _sample(self) -> Samples:
        drawn = self._client.sample(FACES, seed=SEED)
        again = self._client.sample(1, seed=SEED, first_item=5)
        same = np.array_equal(again.latents[0], drawn.latents[5])
        self._save("samples.png", drawn.images, SHOWN)
        say("Sample", f"{FACES} faces of {shape(drawn.images)} in samples.png")
        say("Sample", f"face 5 drawn alone has the same latent: {'yes' if same else 'NO'}")
        return drawn

    def _encode(self, drawn: Samples) -> Encoding:
        encoding = self._client.encode(drawn.images, sample_seed=SEED)
        gap = float(np.abs(encoding.mean - drawn.latents).mean())
        spread = float(drawn.latents.std())
        say("Encode", f"{FACES} faces to {encoding.mean.shape[1]} latents each")
        say("Encode", f"they lie {gap:.3f} from those drawn, whose spread is {spread:.3f}")
        return encoding

    def _decode(self, drawn: Samples, encoding: Encoding) -> None:
        rebuilt = self._client.decode(encoding.mean).images
        error = float(np.abs(rebuilt.astype(float) - drawn.images).mean() / 255)
        pairs = np.concatenate([drawn.images[:SHOWN], rebuilt[:SHOWN]])
        self._save("reconstructions.png", pairs, SHOWN)
        say("Decode", f"back to images, {error:.4f} off on a scale of 0 to 1; reconstructions.png")

    def _morph(self, encoding: Encoding) -> None:
        line = interpolate(encoding.mean[0], encoding.mean[1], STEPS)
        self._save("morph.png", self._client.decode(line).images, STEPS)
        say("Decode", f"{STEPS} steps from face 0 to face 1 in morph.png")

    def _traverse(self, encoding: Encoding) -> None:
        known = self._client.model().aggregate_posterior
        mean, std = (np.zeros(0), np.zeros(0)) if known is None else known
        widest = np.argsort(-std)[:DIMENSIONS].tolist()
        rows = [
            traverse(encoding.mean[0], d, np.linspace(-3, 3, STEPS) * std[d] + mean[d])
            for d in widest
        ]
        if rows:
            images = self._client.decode(np.concatenate(rows)).images
            self._save("traverse.png", images, STEPS)
            say("Decode", f"the {len(rows)} widest latent dimensions, one a row, in traverse.png")

    def _classify(self, drawn: Samples) -> None:
        shapes = draw_shapes(drawn.images.shape[1])
        self._save("non-faces.png", shapes, len(shapes))
        for name, images in (("faces that it drew", drawn.images), ("shapes", shapes)):
            found = self._client.classify(images)
            share = f"{int(found.is_face.sum())} of {len(images)} {name} called faces"
            middle = float(np.median(found.probabilities))
            say("ClassifyFace", f"{share}; median probability {middle:.3f}")

    def _weights(self, drawn: Samples, encoding: Encoding) -> None:
        found = self._client.resample_weights(latents=encoding.mean, min_effective_sample_size=0.5)
        order = np.argsort(-found.weights, kind="stable")
        lines = [f"{n},{found.weights[n]:.9f}\n" for n in order]
        (self._out / "weights.csv").write_text("face,weight\n" + "".join(lines))
        ends = np.concatenate([drawn.images[order[:SHOWN]], drawn.images[order[-SHOWN:]]])
        self._save("weights.png", ends, SHOWN)
        ratio = found.weights.max() / found.weights.min()
        size = found.effective_sample_size
        say("ResampleWeights", f"effective sample size {size:.1f} of {FACES} in weights.csv")
        say("ResampleWeights", f"rarest {ratio:.1f} × the commonest; rare above, common below")

    def _streams(self, drawn: Samples, encoding: Encoding) -> None:
        outcomes = list(self._client.encode_stream(iter(drawn.images)))
        means = np.stack([outcome.unwrap().mean for outcome in outcomes])
        gap = float(np.abs(means - encoding.mean).max())
        say("EncodeStream", f"{len(outcomes)} faces in order, at most {gap:.1e} from Encode")
        mixed: list[UInt8 | bytes] = [drawn.images[0], b"not an image", drawn.images[1]]
        answers = list(self._client.classify_stream(mixed))
        told = [f"{a.value.probability:.3f}" if a.value else str(a.error) for a in answers]
        say("ClassifyFaceStream", f"a bad image among good ones: {'; '.join(told)}")

    def _bad_input(self) -> None:
        try:
            self._client.sample(1, temperature=99)
        except InvalidRequest as error:
            say("errors", f"{type(error).__name__}: {error}")
        else:
            raise DemoError("a temperature of 99 was not refused")

    def _save(self, name: str, images: UInt8, columns: int) -> None:
        scale = max(1, SCALE_TO // images.shape[1])
        save_png(self._out / name, grid(images, columns, scale=scale))


def draw_shapes(size: int) -> UInt8:
    """Shapes that are no faces: uint8 [6, size, size, 3]."""
    y, x = np.mgrid[0:size, 0:size]
    stripes = (x // 4 % 2) * 255
    board = ((x // 8 + y // 8) % 2) * 255
    disc = ((x - size / 2) ** 2 + (y - size / 2) ** 2 < (size / 3) ** 2) * 200
    slope = (x + y) * 255 // (2 * size)
    noise = np.random.default_rng(SEED).integers(0, 256, (size, size))
    flat = np.full((size, size), 128)
    grey = np.stack([stripes, board, disc, slope, noise, flat]).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)


def shape(images: UInt8) -> str:
    """The size of an image in words."""
    return "×".join(map(str, images.shape[1:]))


def say(topic: str, line: str) -> None:
    """Print what happened."""
    print(f"{topic:<20}{line}", flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
