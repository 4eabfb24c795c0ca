"""Every values file in ci/: accepted by Helm's linter, and rendered to what Kubernetes accepts."""

import functools
from collections.abc import Iterator
from typing import Any

import helm_python
import kubernetes_validate
import pytest
import yaml
from kubernetes_validate import utils
from support.charts import CASES, CHART, Object, chart, rendered, values_of

# Those from Chart.yaml's kubeVersion to the newest that the validator brings.
VERSIONS = [f"1.{minor}" for minor in range(30, 38)]
_WARNING = 2  # severities of Helm's linter; 1 is a recommendation

# Kinds that come with other projects have no schema here: these are the fields that the chart uses,
# as in the CRDs of Gateway API 1.4, Prometheus operator, KEDA and cert-manager. "*" is any key.
_META = {"apiVersion", "kind", "metadata.name", "metadata.labels.*"}
_MONITOR = {"spec.selector.matchLabels.*"}
FIELDS: dict[tuple[str, str], set[str]] = {
    ("gateway.networking.k8s.io/v1", "GRPCRoute"): {
        *("spec.parentRefs[].name", "spec.parentRefs[].namespace", "spec.parentRefs[].sectionName"),
        *("spec.hostnames[]", "spec.rules[].matches[].method.type"),
        "spec.rules[].matches[].method.service",
        *("spec.rules[].backendRefs[].name", "spec.rules[].backendRefs[].port"),
    },
    ("gateway.networking.k8s.io/v1", "BackendTLSPolicy"): {
        *("spec.targetRefs[].group", "spec.targetRefs[].kind", "spec.targetRefs[].name"),
        *("spec.targetRefs[].sectionName", "spec.validation.hostname"),
        "spec.validation.caCertificateRefs[].group",
        "spec.validation.caCertificateRefs[].kind",
        "spec.validation.caCertificateRefs[].name",
    },
    ("monitoring.coreos.com/v1", "ServiceMonitor"): {
        *_MONITOR,
        *("spec.endpoints[].port", "spec.endpoints[].interval"),
    },
    ("monitoring.coreos.com/v1", "PodMonitor"): {
        *_MONITOR,
        *("spec.podMetricsEndpoints[].port", "spec.podMetricsEndpoints[].interval"),
    },
    ("monitoring.coreos.com/v1", "PrometheusRule"): {
        *("spec.groups[].name", "spec.groups[].rules[].alert", "spec.groups[].rules[].expr"),
        "spec.groups[].rules[].record",
        *("spec.groups[].rules[].for", "spec.groups[].rules[].labels.*"),
        "spec.groups[].rules[].annotations.*",
    },
    ("keda.sh/v1alpha1", "ScaledObject"): {
        *("spec.scaleTargetRef.name", "spec.minReplicaCount", "spec.maxReplicaCount"),
        "spec.pollingInterval",
        "spec.advanced.horizontalPodAutoscalerConfig.behavior.scaleDown.stabilizationWindowSeconds",
        *("spec.triggers[].type", "spec.triggers[].name", "spec.triggers[].metricType"),
        "spec.triggers[].metadata.*",
    },
    ("cert-manager.io/v1", "Certificate"): {
        *("spec.secretName", "spec.duration", "spec.renewBefore", "spec.usages[]"),
        *("spec.privateKey.algorithm", "spec.privateKey.size", "spec.privateKey.rotationPolicy"),
        *("spec.issuerRef.name", "spec.issuerRef.kind", "spec.issuerRef.group", "spec.dnsNames[]"),
    },
}


@pytest.fixture(scope="module", autouse=True)
def _read_schemas_once() -> Iterator[None]:
    """The validator reads a version's megabytes of definitions anew for each object."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, "schema_contents", functools.cache(utils.schema_contents))
        yield


def is_of_kubernetes(found: Object) -> bool:
    return (found["apiVersion"], found["kind"]) not in FIELDS


def paths(value: Any, prefix: str = "") -> Iterator[str]:  # noqa: ANN401 - YAML
    """All leaves of YAML, such as "spec.rules[].port"."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from paths(inner, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, list) and value:
        for inner in value:
            yield from paths(inner, f"{prefix}[]")
    else:
        yield prefix


def is_among(path: str, fields: set[str]) -> bool:
    stems = [field.removesuffix("*") for field in fields if field.endswith("*")]
    return path in fields or any(path.startswith(stem) for stem in stems)


@pytest.mark.parametrize("case", CASES)
def test_helm_has_no_complaint(case: str) -> None:
    report = helm_python.lint(CHART, values_of(case), strict=True, kube_version="v1.30.0")
    assert report["errors"] == []
    assert [line for line in report["messages"] if line["severity"] >= _WARNING] == []


def test_every_object_is_what_the_api_of_each_kubernetes_version_takes() -> None:
    own = {yaml.dump(o): o for case in CASES for o in rendered(case) if is_of_kubernetes(o)}
    assert len(own) > 30
    refused = set()
    for version in VERSIONS:
        for found in own.values():
            try:
                kubernetes_validate.validate(found, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                refused.add((version, found["kind"], error.message))
    # OCI image volumes came with 1.31.
    unknown = "Additional properties are not allowed ('image' was unexpected)"
    assert refused == {("1.30", "Deployment", unknown)}


def test_the_newest_version_that_the_validator_brings_is_tried() -> None:
    assert utils.major_minor(utils.latest_version()) == VERSIONS[-1]
    assert chart().metadata["kubeVersion"] == f">={VERSIONS[0]}.0-0"


def test_objects_of_other_projects_have_the_fields_that_these_know() -> None:
    found: dict[tuple[str, str], set[str]] = {}
    for case in CASES:
        for custom in (o for o in rendered(case) if not is_of_kubernetes(o)):
            kind = custom["apiVersion"], custom["kind"]
            allowed = FIELDS[kind] | _META
            odd = {path for path in paths(custom) if not is_among(path, allowed)}
            assert not odd, f"{case}: {kind}"
            found[kind] = found.get(kind, set()) | set(paths(custom))
    assert set(found) == set(FIELDS)
    for kind, fields in FIELDS.items():
        unused = {f for f in fields if not any(is_among(path, {f}) for path in found[kind])}
        assert not unused, kind


def test_names_are_unique_and_all_objects_are_the_release_s() -> None:
    for case in CASES:
        names = [(o["kind"], o["metadata"]["name"]) for o in rendered(case)]
        assert len(names) == len(set(names)), case
        for found in rendered(case):
            labels = found["metadata"]["labels"]
            assert labels["app.kubernetes.io/instance"] == "demo"
            assert labels["app.kubernetes.io/managed-by"] == "Helm"
            assert len(found["metadata"]["name"]) <= 63
