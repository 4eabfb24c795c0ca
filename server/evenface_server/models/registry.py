"""The registry: which models and versions are served, and which one a request means.

Transport-free. Models can be swapped while requests run: a request holds its model until it is
answered, whatever becomes of the registry meanwhile.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self

from evenface_core.errors import ModelNotFound
from evenface_core.manifest import FunctionName, Manifest
from evenface_runtime import Model

from evenface_server.batching import Lane
from evenface_server.calls import Served
from evenface_server.models.names import listing, version_key
from evenface_server.models.traffic import Split


class ServedModel:
    """A model that requests can be sent to. As a context, it is held for one of them.

    Args:
        model: Opened and warmed up.
        lanes: What its functions are called through.
        card: Its model card, Markdown.

    Attributes:
        manifest: What the model is and can do.
        name: What callers are told of it.
    """

    def __init__(self, model: Model, lanes: Mapping[FunctionName, Lane], card: str) -> None:
        self.model = model
        self.manifest: Manifest = model.manifest
        self.name = Served(self.manifest.name, self.manifest.version, model.bundle.digest)
        self.lanes = lanes
        self.card = card
        self._holders = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def __enter__(self) -> Self:
        if not self._holders:
            self._idle.clear()
        self._holders += 1
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._holders -= 1
        if not self._holders:
            self._idle.set()

    async def idle(self) -> None:
        """Wait until no request holds it."""
        await self._idle.wait()

    def stop(self) -> None:
        """Let go of the threads."""
        for lane in self.lanes.values():
            lane.stop()


class Registry:
    """The models that are served.

    Args:
        models: Versions of one name in any order.
        default: Name for requests that name no model; None where they must.
        traffic: By model and version, weights for requests that name no version; the newest
            version gets them where a model has none, or none for a version that is served.
    """

    def __init__(
        self,
        models: Iterable[ServedModel] = (),
        default: str | None = None,
        traffic: Mapping[str, Mapping[str, int]] | None = None,
    ) -> None:
        self.swap(models, default, traffic or {})

    def swap(
        self,
        models: Iterable[ServedModel],
        default: str | None,
        traffic: Mapping[str, Mapping[str, int]],
    ) -> None:
        """Serve other models from the next request on; arguments as at the start."""
        by_name: dict[str, dict[str, ServedModel]] = {}
        for served in sorted(models, key=_order):
            by_name.setdefault(served.manifest.name, {})[served.manifest.version] = served
        self._by_name = by_name
        self._splits = dict(_splits(by_name, traffic))
        self.default = default

    def __iter__(self) -> Iterator[ServedModel]:
        """All models by name, then version, oldest first."""
        for versions in self._by_name.values():
            yield from versions.values()

    def resolve(self, name: str, version: str) -> ServedModel:
        """Find what is meant.

        Args:
            name: Of the model; empty for the default.
            version: Empty for the newest.

        Raises:
            ModelNotFound: There is none; the message lists what there is.
        """
        name, versions = self._versions(name)
        if not version:
            return next(reversed(versions.values()))
        if version not in versions:
            raise ModelNotFound(
                f"model '{name}' has no version '{version[:100]}'; {listing(versions)}"
            )
        return versions[version]

    def route(self, name: str, version: str) -> ServedModel:
        """Choose what a request is answered by: `resolve`, but for weights on the versions.

        Raises:
            ModelNotFound: As `resolve`.
        """
        split = None if version else self._splits.get(name or self.default or "")
        return self.resolve(name, split.next() if split else version)

    def candidates(self, name: str, version: str) -> Sequence[ServedModel]:
        """All that `route` may choose for a request; none where it finds nothing."""
        name = name or self.default or ""
        versions = self._by_name.get(name, {})
        if not version and versions:
            split = self._splits.get(name)
            chosen = split.versions if split else (next(reversed(versions)),)
            return [versions[each] for each in chosen]
        return [versions[version]] if version in versions else []

    def is_default(self, served: ServedModel) -> bool:
        """Whether requests that name neither model nor version get this one, some at least."""
        if self.default is None:
            return False
        split = self._splits.get(self.default)
        versions = split.versions if split else {self.resolve("", "").manifest.version}
        return served.manifest.name == self.default and served.manifest.version in versions

    def _versions(self, name: str) -> tuple[str, dict[str, ServedModel]]:
        wanted = name or self.default
        if wanted is None:
            raise ModelNotFound(f"name a model: there is no default; {listing(self._by_name)}")
        versions = self._by_name.get(wanted)
        if versions is None:
            raise ModelNotFound(f"no model '{wanted[:100]}'; {listing(self._by_name)}")
        return wanted, versions


def _order(served: ServedModel) -> tuple[str, tuple[tuple[int, int, str], ...]]:
    return served.manifest.name, version_key(served.manifest.version)


def _splits(
    by_name: Mapping[str, Mapping[str, ServedModel]], traffic: Mapping[str, Mapping[str, int]]
) -> Iterator[tuple[str, Split]]:
    for name, weights in traffic.items():
        served = {v: w for v, w in weights.items() if w and v in by_name.get(name, {})}
        if served:
            yield name, Split(served)
