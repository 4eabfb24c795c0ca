"""The chart, rendered by Helm's own library."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import helm_python
import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "evenface"
CASES = sorted(path.name.removesuffix("-values.yaml") for path in (CHART / "ci").iterdir())
RELEASE, NAMESPACE = "demo", "faces"

Object = dict[str, Any]


def values_of(case: str) -> dict[str, Any]:
    """The values of a file in ci/, by the part of its name before "-values"."""
    text = (CHART / "ci" / f"{case}-values.yaml").read_text()
    return dict(yaml.safe_load(text))


@cache
def chart() -> helm_python.Chart:
    """The chart, loaded once."""
    return helm_python.Chart.load(CHART)


def render(values: Mapping[str, Any]) -> list[Object]:
    """The objects that values give, in the order of their templates.

    Raises:
        HelmError: The values are refused, by the schema or by a template.
    """
    given = dict(values)
    chart().validate_schema(given)
    files = chart().render(given, name=RELEASE, namespace=NAMESPACE)
    texts = (text for name, text in sorted(files.items()) if name.endswith(".yaml"))
    return [found for text in texts for found in yaml.safe_load_all(text) if found]


@cache
def rendered(case: str) -> Sequence[Object]:
    """The objects of a file in ci/; not to be changed."""
    return render(values_of(case))


def one(objects: Sequence[Object], kind: str, name: str | None = None) -> Object:
    """The only object of a kind, or the one with a name."""
    (found,) = of_kind(objects, kind, name)
    return found


def of_kind(objects: Sequence[Object], kind: str, name: str | None = None) -> list[Object]:
    """All objects of a kind, or those with a name."""
    return [o for o in objects if o["kind"] == kind and name in (None, o["metadata"]["name"])]


def pods(objects: Sequence[Object]) -> Iterator[tuple[Object, Object]]:
    """Labels and spec of each pod that objects would bring about."""
    for found in objects:
        spec = found.get("spec", {})
        if found["kind"] == "Pod":
            yield found["metadata"]["labels"], spec
        elif found["kind"] in ("Deployment", "Job"):
            yield spec["template"]["metadata"]["labels"], spec["template"]["spec"]
        elif found["kind"] == "CronJob":
            template = spec["jobTemplate"]["spec"]["template"]
            yield template["metadata"]["labels"], template["spec"]


def containers(objects: Sequence[Object]) -> list[Object]:
    """All containers, those that only prepare included."""
    return [
        container
        for _, spec in pods(objects)
        for container in (*spec.get("initContainers", ()), *spec["containers"])
    ]


def server_pod(objects: Sequence[Object]) -> Object:
    """The spec of the server's pods."""
    return dict(one(objects, "Deployment")["spec"]["template"]["spec"])


def server(objects: Sequence[Object]) -> Object:
    """The server's container."""
    (container,) = server_pod(objects)["containers"]
    return dict(container)


def options(container: Object) -> dict[str, str]:
    """The options in a container's arguments, by name."""
    pairs = (argument.removeprefix("--").partition("=") for argument in container["args"])
    return {name: value for name, _, value in pairs}
