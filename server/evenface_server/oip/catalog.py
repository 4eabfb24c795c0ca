"""Models as the Open Inference Protocol sees them: functions of ours. Transport-free."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from evenface_core.errors import ModelNotFound
from evenface_core.manifest import FunctionName, Manifest
from evenface_runtime.signature import signature_of

from evenface_server.models.names import listing
from evenface_server.models.registry import Registry, ServedModel

# Those that a request can ask for by themselves.
_FUNCTIONS: Final[Mapping[str, FunctionName]] = {
    "encode": "encode",
    "decode": "decode",
    "classify": "classify",
}
_DATATYPES: Final = {"uint8": "UINT8", "float32": "FP32"}
_OPTIONAL: Final = "conditions"
_OUTPUTS: Final[Mapping[FunctionName, Sequence[str]]] = {
    "encode": ("mean", "log_variance"),
    "decode": ("images",),
    "classify": ("logits", "probabilities", "is_face"),
}


class Tensor(NamedTuple):
    """An input or output.

    Attributes:
        name: Its name.
        datatype: In the protocol's terms.
        lengths: Of its dimensions but for the first, which any request chooses.
        optional: Whether a request may leave it out.
    """

    name: str
    datatype: str
    lengths: Sequence[int]
    optional: bool = False


class Entry(NamedTuple):
    """A model of the protocol.

    Attributes:
        name: MODEL.FUNCTION.
        function: What it does.
        served: What does it.
    """

    name: str
    function: FunctionName
    served: ServedModel

    @property
    def version(self) -> str:
        """Its version."""
        return self.served.manifest.version

    @property
    def inputs(self) -> Sequence[Tensor]:
        """What it takes."""
        return inputs_of(self.served.manifest, self.function)

    @property
    def output_names(self) -> Sequence[str]:
        """Names of `outputs`, which every request needs."""
        return _OUTPUTS[self.function]

    @property
    def outputs(self) -> Sequence[Tensor]:
        """What it gives."""
        return outputs_of(self.served.manifest, self.function)


class Catalog:
    """What there is.

    Args:
        registry: The models.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def __iter__(self) -> Iterator[Entry]:
        """All models by name, then version, oldest first."""
        for served in self._registry:
            for name, function in _FUNCTIONS.items():
                if function in served.manifest.functions:
                    yield Entry(f"{served.manifest.name}.{name}", function, served)

    def resolve(self, name: str, version: str) -> Entry:
        """Find a model; without a version, the newest.

        Raises:
            ModelNotFound: There is none; the message lists what there is.
        """
        return self._find(name, version, self._registry.resolve)

    def route(self, name: str, version: str) -> Entry:
        """Choose what a request is answered by.

        Raises:
            ModelNotFound: As `resolve`.
        """
        return self._find(name, version, self._registry.route)

    def versions(self, name: str) -> Sequence[str]:
        """All versions of a model, oldest first."""
        return [entry.version for entry in self if entry.name == name]

    def _find(self, name: str, version: str, find: Callable[[str, str], ServedModel]) -> Entry:
        model, function = split_name(name) or ("", None)
        if function is not None:
            try:
                served = find(model, version)
            except ModelNotFound:
                if self.versions(name):
                    raise  # it is the version that there is not
            else:
                if function in served.manifest.functions:
                    return Entry(name, function, served)
        known = listing(dict.fromkeys(entry.name for entry in self))
        raise ModelNotFound(f"no model '{name[:100]}'; {known}")


def split_name(name: str) -> tuple[str, FunctionName] | None:
    """Return the model and the function that MODEL.FUNCTION names; None where it names none."""
    model, _, last = name.rpartition(".")
    function = _FUNCTIONS.get(last)
    return None if function is None or not model else (model, function)


def inputs_of(manifest: Manifest, function: FunctionName) -> Sequence[Tensor]:
    """Return what a function takes; conditions that are left out are 0."""
    return [
        Tensor(spec.name, _DATATYPES[spec.dtype], _lengths(spec.shape), spec.name == _OPTIONAL)
        for spec in signature_of(manifest, function).inputs
    ]


def outputs_of(manifest: Manifest, function: FunctionName) -> Sequence[Tensor]:
    """Return what a function gives; of classify also what follows from its logits."""
    given = [
        Tensor(spec.name, _DATATYPES[spec.dtype], _lengths(spec.shape))
        for spec in signature_of(manifest, function).outputs
        if spec.name in _OUTPUTS[function]
    ]
    if function == "classify":
        given += [Tensor("probabilities", "FP32", ()), Tensor("is_face", "BOOL", ())]
    return given


def _lengths(shape: Sequence[int | str]) -> Sequence[int]:
    return [length for length in shape if isinstance(length, int)]
