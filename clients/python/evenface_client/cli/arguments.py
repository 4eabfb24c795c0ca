"""The arguments of every command."""

import argparse
import os
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from evenface_core.rules import RULES

from evenface_client import TLS, Client
from evenface_client.cli import edit, faces, info, latents, scores

DEFAULT_SERVER = "127.0.0.1:50051"

Command: TypeAlias = Callable[[Client, Namespace], int]


def parser() -> ArgumentParser:
    """The parser of the command `evenface`."""
    whole = ArgumentParser("evenface", description="Ask an evenface server.")
    commands = whole.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Command, purpose: str) -> ArgumentParser:
        command = commands.add_parser(name, help=purpose, description=purpose)
        command.set_defaults(run=run)
        _add_common(command)
        return command

    add("info", info.info, "Show the server's models and limits; with --model, one in full.")
    _add_latents(add)
    _add_scores(add)
    _add_faces(add)
    return whole


def tls(args: Namespace) -> TLS | None:
    """TLS as asked for by any of its options."""
    given = (args.tls_ca, args.tls_cert, args.tls_key, args.tls_name)
    return TLS(*given) if args.tls or any(given) else None


def add_server(group: "argparse._ArgumentGroup") -> None:
    """Add the options that say which server to ask, and how; `tls` reads those of TLS."""
    server = os.environ.get("EVENFACE_SERVER", DEFAULT_SERVER)
    group.add_argument(
        "--server",
        default=server,
        metavar="HOST:PORT",
        help=f"address; EVENFACE_SERVER, else {DEFAULT_SERVER}",
    )
    group.add_argument(
        "--timeout", type=float, default=30.0, metavar="S", help="seconds a request may take (30)"
    )
    group.add_argument(
        "--token",
        default=os.environ.get("EVENFACE_TOKEN") or None,
        help="API token; rather EVENFACE_TOKEN, as others may see the arguments of a process",
    )
    group.add_argument("--tls", action="store_true", help="speak TLS; implied by the next four")
    group.add_argument("--tls-ca", type=Path, metavar="PEM", help="certificates to trust")
    group.add_argument("--tls-cert", type=Path, metavar="PEM", help="our own certificate")
    group.add_argument("--tls-key", type=Path, metavar="PEM", help="its private key")
    group.add_argument("--tls-name", metavar="NAME", help="name to expect of the server")


def _add_common(command: ArgumentParser) -> None:
    group = command.add_argument_group("server and model")
    group.add_argument("--model", default="", metavar="NAME", help="the server's default if absent")
    group.add_argument("--version", default="", metavar="V", help="the newest if absent")
    add_server(group)


def _add_latents(add: Callable[[str, Command, str], ArgumentParser]) -> None:
    encode = add("encode", latents.encode, "Encode images to latents (means).")
    _images(encode)
    _out(encode, ".npy (float32 [N, D]) or .csv (with the files' names)")
    decode = add("decode", latents.decode, "Decode latents to images.")
    decode.add_argument("latents", type=Path, help=".npy with float [N, D] or [D]")
    _attributes(decode)
    _color(decode)
    _out(decode, ".png (a grid) or .npy (uint8 [N, S, S, C])")


def _add_scores(add: Callable[[str, Command, str], ArgumentParser]) -> None:
    classify = add("classify", scores.classify, "Tell face from non-face.")
    _images(classify)
    classify.add_argument("--threshold", type=float, help="probability, 0 to 1; the model's own")
    classify.add_argument("--csv", type=Path, metavar="FILE", help="write a table too")
    weights = add("weights", scores.weights, "Weight images for resampling: high for rare faces.")
    _images(weights)
    _out(weights, ".csv")
    weights.add_argument("--rule", default="", help=f"one of {', '.join(RULES)} (lab)")
    weights.add_argument(
        "--min-ess",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="least effective sample size as a share of the images, 0 to 1 (0)",
    )
    weights.add_argument(
        "--histogram",
        metavar="FILE",
        help="judge rarity by this .npz of --histogram-out, or by 'training', the model's own",
    )
    weights.add_argument(
        "--histogram-out", type=Path, metavar="FILE", help="write the histogram, .npz"
    )


def _add_faces(add: Callable[[str, Command, str], ArgumentParser]) -> None:
    sample = add("sample", faces.sample, "Draw new faces.")
    sample.add_argument("--count", type=int, default=16, help="how many (16)")
    sample.add_argument("--seed", type=int, default=0, help="of the noise (0)")
    sample.add_argument("--temperature", type=float, help="factor on the noise, 0 to 10 (1)")
    sample.add_argument("--prior", choices=("aggregate", "normal"), help="the model's best")
    sample.add_argument("--latents", type=Path, metavar="FILE", help="write the latents too, .npy")
    _attributes(sample)
    _color(sample)
    _out(sample, ".png (a grid) or .npy (uint8 [N, S, S, C])")
    rebuilt = add("reconstruct", faces.reconstruct, "Encode and decode; each below its original.")
    _images(rebuilt)
    _out(rebuilt, ".png")
    morph = add("morph", faces.morph, "Walk from one face to another through the latents.")
    morph.add_argument("start", type=Path, metavar="A", help="image file")
    morph.add_argument("end", type=Path, metavar="B", help="image file")
    morph.add_argument("--steps", type=int, default=8, help="pictures, both ends included (8)")
    _out(morph, ".png (a row) or .npy")
    _add_edit(add("edit", edit.edit, "Change attributes of faces; one row each."))
    _add_traverse(add("traverse", faces.traverse, "Vary each latent dimension; one row each."))


def _add_edit(command: ArgumentParser) -> None:
    command.add_argument(
        "images", nargs="*", metavar="IMAGE", help="file, folder or pattern; or --seed"
    )
    command.add_argument("--seed", type=int, help="edit faces that this seed draws")
    command.add_argument("--count", type=int, default=4, help="how many faces --seed draws (4)")
    command.add_argument(
        "--set",
        dest="attributes",
        type=_attribute,
        nargs="+",
        action="extend",
        required=True,
        metavar="NAME=VALUE",
        help="attributes and how far to go; 1 turns a typical face without into one with it",
    )
    command.add_argument(
        "--steps", type=int, default=1, help="pictures of each, up to the whole change (1)"
    )
    _color(command)
    _out(command, ".png (a row each: original, reconstruction, steps) or .npy ([N, K, S, S, C])")


def _add_traverse(command: ArgumentParser) -> None:
    command.add_argument("image", type=Path, nargs="?", help="where to start; or --seed")
    command.add_argument("--seed", type=int, help="start at the face that this seed draws")
    command.add_argument(
        "--dimensions", type=_dimensions, metavar="LIST", help="such as 0,3,10-19 (all)"
    )
    command.add_argument("--steps", type=int, default=8, help="pictures in a row (8)")
    command.add_argument(
        "--range",
        type=float,
        default=3.0,
        metavar="R",
        help="from -R to R standard deviations of the training set's latents (3)",
    )
    _out(command, ".png (a row for each dimension) or .npy")


def _images(command: ArgumentParser) -> None:
    command.add_argument(
        "images", nargs="+", metavar="IMAGE", help="file, folder (with all below it) or pattern"
    )


def _out(command: ArgumentParser, forms: str) -> None:
    command.add_argument("--out", type=Path, required=True, metavar="FILE", help=forms)


def _attributes(command: ArgumentParser) -> None:
    command.add_argument(
        "--attribute",
        type=_attribute,
        action="append",
        metavar="NAME=VALUE",
        help="strength of an attribute; may be repeated",
    )


def _color(command: ArgumentParser) -> None:
    command.add_argument("--color", action="store_true", help="colour what a grey model decodes")


def _attribute(text: str) -> tuple[str, float]:
    name, mark, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        problem = "not a number" if mark else "not of the form NAME=VALUE"
        raise argparse.ArgumentTypeError(f"'{text}': {problem}") from None


def _dimensions(text: str) -> list[int]:
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        try:
            found.extend(range(int(first), int(last or first) + 1))
        except ValueError:
            raise argparse.ArgumentTypeError(f"'{part}' is not a number or range") from None
    return found
