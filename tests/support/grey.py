"""A tiny bundle of grey images whose colorizer paints all of them red."""

from pathlib import Path

import onnx
from evenface_core.bundle import write_bundle
from evenface_core.images import Preprocessing
from evenface_core.manifest import Function, FunctionName, Manifest, TensorSpec

SIZE, LATENT = 16, 4
_HEAD = '<ir_version: 9, opset_import: ["" : 18]>'
_WEIGHTS = "{0.5, -1.0, 2.0, 1.0}"
_GRAPHS: dict[FunctionName, str] = {
    # mean = average grey · weights; log_variance = mean − mean
    "encode": f"""{_HEAD}
        encode (uint8[batch, 16, 16, 1] images)
            => (float[batch, 4] mean, float[batch, 4] log_variance)
        <float[1, 4] weights = {_WEIGHTS}, float white = {{255.0}}, int64[2] axes = {{1, 2}}> {{
            pixels = Cast <to = 1> (images)
            scaled = Div (pixels, white)
            grey = ReduceMean <keepdims = 0> (scaled, axes)
            mean = MatMul (grey, weights)
            log_variance = Sub (mean, mean)
        }}""",
    # every pixel 255 · sigmoid(latents · weights)
    "decode": f"""{_HEAD}
        decode (float[batch, 4] latents) => (uint8[batch, 16, 16, 1] images)
        <float[4, 1] weights = {_WEIGHTS}, float white = {{255.0}}, int64[2] axes = {{1, 2}},
         int64[4] tile = {{1, 16, 16, 1}}> {{
            grey = MatMul (latents, weights)
            share = Sigmoid (grey)
            level = Mul (share, white)
            pixel = Unsqueeze (level, axes)
            pixels = Tile (pixel, tile)
            images = Cast <to = 2> (pixels)
        }}""",
    # red = grey, no green, no blue
    "colorize": f"""{_HEAD}
        colorize (uint8[batch, 16, 16, 1] images) => (uint8[batch, 16, 16, 3] painted)
        <> {{
            pixels = Cast <to = 1> (images)
            none = Sub (pixels, pixels)
            red = Concat <axis = 3> (pixels, none, none)
            painted = Cast <to = 2> (red)
        }}""",
}


def write_grey_bundle(root: Path, name: str = "grey") -> Path:
    """Write the bundle below a model directory, without aggregate posterior and histogram."""
    graphs = {
        f"{function}.onnx": onnx.parser.parse_model(text).SerializeToString(deterministic=True)
        for function, text in _GRAPHS.items()
    }
    return write_bundle(root, _manifest(name), {**graphs, "model_card.md": b"# Grey\n"})


def _manifest(name: str) -> Manifest:
    grey = TensorSpec(name="images", dtype="uint8", shape=("batch", SIZE, SIZE, 1))
    latents = TensorSpec(name="latents", dtype="float32", shape=("batch", LATENT))
    mean, log_variance = (
        latents.model_copy(update={"name": one}) for one in ("mean", "log_variance")
    )
    painted = TensorSpec(name="painted", dtype="uint8", shape=("batch", SIZE, SIZE, 3))
    ends: dict[FunctionName, tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]] = {
        "encode": ((grey,), (mean, log_variance)),
        "decode": ((latents,), (grey,)),
        "colorize": ((grey,), (painted,)),
    }
    return Manifest(
        name=name,
        version="1",
        kind="vae",
        preprocessing=Preprocessing(size=SIZE, channels=1),
        latent_size=LATENT,
        functions={
            function: Function(graph=f"{function}.onnx", inputs=inputs, outputs=outputs)
            for function, (inputs, outputs) in ends.items()
        },
    )
