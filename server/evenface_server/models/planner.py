"""What should be served: from the model directory, from operators' orders, from what is served.

Transport-free, without I/O: it is told what was found and what became of it, and says what to do.
A good bundle gives way only to a good one, and the default model never goes altogether.
"""

import logging
from collections.abc import Collection, Iterator, Mapping

from evenface_core.errors import InvalidInput, ModelNotFound, OrderRefused

from evenface_server.models.names import choose_default, listing, version_key
from evenface_server.models.plan import BundleRef, ModelKey, Plan, Traffic
from evenface_server.models.traffic import MAX_WEIGHT
from evenface_server.models.watch import Found, Identity, View

_LOG = logging.getLogger(__name__)

Bundles = Mapping[ModelKey, BundleRef]


class Planner:
    """Knows what is served and what is wanted.

    Args:
        default: The setting `default_model`.
        traffic: Weights to begin with, also for versions that are yet to come.

    Attributes:
        plan: What is served.
        refusals: Why the bundle that is in the model directory is not served, by version.
        unloaded: Versions that operators have taken out.
    """

    def __init__(self, default: str | None, traffic: Traffic | None = None) -> None:
        self.plan = Plan(0, (), None, {})
        self.refusals: dict[ModelKey, str] = {}
        self.unloaded: set[ModelKey] = set()
        self._default = default
        self._tried: dict[ModelKey, Identity] = {}
        self._gone: set[ModelKey] = set()
        self._bare = False
        self._traffic = {name: dict(weights) for name, weights in (traffic or {}).items()}

    @property
    def served(self) -> Bundles:
        """The bundles of the plan."""
        return {ref.key: ref for ref in self.plan.bundles}

    @property
    def orphans(self) -> frozenset[ModelKey]:
        """Versions that are served although their folders have gone."""
        return frozenset(self._gone & set(self.served))

    def see(self, view: View) -> list[Found]:
        """Take in what there is in the model directory.

        Returns:
            What is to be loaded: new or changed, and not taken out by an operator.
        """
        if not self._is_bare(view):
            self._see_gone(view)
        return [
            found
            for key, found in view.found.items()
            if view.is_settled(key)
            and key not in self.unloaded
            and self._tried.get(key) != found.identity
        ]

    def note(self, found: Found, refusal: str | None) -> None:
        """Note what became of a folder, so that only a change brings it up again.

        Args:
            found: The folder.
            refusal: Why its bundle cannot be served; None where it is.
        """
        self._tried[found.key] = found.identity
        self._gone.discard(found.key)
        self.refusals.pop(found.key, None)
        if refusal is not None:
            self.refusals[found.key] = refusal

    def retry(self) -> None:
        """Bring up again what was refused, changed or not."""
        for key in self.refusals:
            self._tried.pop(key, None)

    def adopt(self, plan: Plan) -> None:
        """Take a plan for what is served."""
        self.plan = plan
        self.unloaded -= set(self.served)

    def draft(self, loads: Bundles) -> Plan:
        """Return the plan that serves newly loaded bundles besides what is still wanted."""
        wanted = {k: r for k, r in self.served.items() if k not in self._gone | self.unloaded}
        wanted |= loads
        wanted |= {key: self.served[key] for key in self._kept(wanted)}
        names = sorted({key.name for key in wanted})
        default = self.plan.default
        if default not in names:
            default = choose_default(self._default, names) if names else None
        bundles = tuple(wanted[key] for key in sorted(wanted, key=_order))
        traffic = {name: dict(weights) for name, weights in self._traffic.items()}
        return Plan(self.plan.number + 1, bundles, default, traffic)

    def unload(self, key: ModelKey) -> None:
        """Take a version out until it is loaded by order, or its folder is removed and made anew.

        Raises:
            ModelNotFound: It is not served.
            OrderRefused: It is all that there is of the default model, or at all.
        """
        self.require(key)
        self.unloaded.add(key)
        if key in {ref.key for ref in self.draft({}).bundles}:
            self.unloaded.discard(key)
            raise OrderRefused(
                f"{key} is the last version of the default model, which always serves"
                if key.name == self.plan.default
                else f"{key} is the only model that is served"
            )

    def set_traffic(self, name: str, weights: Mapping[str, int]) -> None:
        """Split the requests that name a model, but no version of it.

        Args:
            name: Of the model.
            weights: By version; empty to send them to the newest version again.

        Raises:
            ModelNotFound: The model or a version is not served.
            InvalidInput: A weight is too large, or all are 0.
        """
        self._require_name(name)
        for version, weight in weights.items():
            self.require(ModelKey(name, version))
            if weight > MAX_WEIGHT:
                raise InvalidInput(
                    f"weights.{version}", f"{weight}; limit {MAX_WEIGHT}", value=weight,
                    limit=MAX_WEIGHT,
                )  # fmt: skip
        if weights and not any(weights.values()):
            raise InvalidInput("weights", "all are 0; one at least must be above", limit=1)
        self._traffic.pop(name, None)
        if weights:
            self._traffic[name] = dict(weights)

    def require(self, key: ModelKey) -> BundleRef:
        """Return the bundle that serves a version.

        Raises:
            ModelNotFound: None does.
        """
        self._require_name(key.name)
        versions = {ref.version: ref for ref in self.plan.bundles if ref.name == key.name}
        if key.version not in versions:
            raise ModelNotFound(
                f"model '{key.name}' has no version '{key.version[:100]}' that is served; "
                f"{listing(versions)}"
            )
        return versions[key.version]

    def _require_name(self, name: str) -> None:
        names = list(dict.fromkeys(ref.name for ref in self.plan.bundles))
        if name not in names:
            raise ModelNotFound(f"no model '{name[:100]}' is served; {listing(names)}")

    def _is_bare(self, view: View) -> bool:
        """Whether there is nothing, or was: rather a volume that is not there than a wish."""
        was_bare, self._bare = self._bare, not view.found and bool(self.plan.bundles)
        if self._bare and not was_bare:
            _LOG.warning("the model directory is empty; what is served stays")
        return self._bare or was_bare

    def _see_gone(self, view: View) -> None:
        known = {*self.served, *self._tried, *self.unloaded}
        absent = {key for key in known - set(view.found) if view.is_settled(key)}
        self._gone |= absent
        for key in absent:
            self._tried.pop(key, None)
            self.refusals.pop(key, None)
            self.unloaded.discard(key)

    def _kept(self, wanted: Collection[ModelKey]) -> Iterator[ModelKey]:
        """Versions that are served and stay, because nothing takes their place."""
        default, served = self.plan.default, sorted(self.served, key=_order)
        if default is not None and default not in {key.name for key in wanted}:
            yield [key for key in served if key.name == default][-1]
        elif not wanted:
            yield from served


def _order(key: ModelKey) -> tuple[str, tuple[tuple[int, int, str], ...]]:
    return key.name, version_key(key.version)
