"""Values that are wrong: refused at render, by name. And what the values promise of themselves."""

import itertools
import json
from typing import Any

import helm_python
import kubernetes_validate
import pytest
import yaml
from evenface_server.options import load_settings
from evenface_server.settings import Settings, option_of
from support.charts import CHART, containers, one, render, values_of

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
TLS = {"enabled": True, "secretName": "tls"}


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("replicas", "two", "at '/replicas': got string, want integer"),
        ("replcas", 2, "additional properties 'replcas' not allowed"),
        ("image.digest", "sha256:1", "at '/image/digest': 'sha256:1' does not match"),
        ("image.repository", "", "at '/image/repository'"),
        ("server.settings.max-batch-rows", 0, "at '/server/settings/max-batch-rows': minimum"),
        ("server.settings.max-batchrows", 5, "additional properties 'max-batchrows' not allowed"),
        ("server.settings.port", 5, "additional properties 'port' not allowed"),
        ("model.source", "s3", "at '/model/source': value must be one of 'image', 'claim'"),
        ("model.path", "models", "at '/model/path'"),
        ("model.download.bundles", [{"url": "https://a/b"}], "missing property 'sha256'"),
        ("ports.grpc", 80, "at '/ports/grpc': minimum: got 80, want 1,024"),
        ("resources.limits.nvidia.com/gpu", 1, "additional properties 'nvidia.com/gpu'"),
        ("probes.startupSeconds", 0, "at '/probes/startupSeconds': minimum"),
        ("podDisruptionBudget.maxUnavailable", 0, "at '/podDisruptionBudget/maxUnavailable'"),
        ("rollout.maxSurge", "lots", "at '/rollout/maxSurge'"),
        ("autoscaling.mode", "vpa", "at '/autoscaling/mode'"),
        ("security.runAsUser", 0, "at '/security/runAsUser': minimum"),
        ("batch.schedule", "daily", "at '/batch/schedule'"),
        ("tracing.ratio", 2, "at '/tracing/ratio': maximum: got 2, want 1"),
        ("tracing.variables", {"PATH": "/"}, "'PATH' does not match pattern"),
        ("podLabels", {"app.kubernetes.io/name": "x"}, "propertyName 'app.kubernetes.io/name'"),
        ("tolerations", [{"key": "a", "operater": "Exists"}], "properties 'operater' not allowed"),
    ],
)
def test_the_schema_refuses_a_value_by_its_name(path: str, value: object, message: str) -> None:
    with pytest.raises(helm_python.HelmValuesError) as caught:
        render(_nested(path, value))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"shutdown": {"drainGraceSeconds": 10}},
            "shutdown.drainGraceSeconds is 10, less than server.callDeadlineSeconds 30",
        ),
        (
            {"shutdown": {"terminationGracePeriodSeconds": 63}},
            "shutdown.terminationGracePeriodSeconds is 63, less than 64: preStopSeconds 5, drain",
        ),
        (
            {"rollout": {"maxSurge": 0, "maxUnavailable": 0}},
            "rollout.maxSurge and rollout.maxUnavailable are both 0",
        ),
        (
            {"rollout": {"maxSurge": 0, "maxUnavailable": "0%"}},
            "rollout.maxSurge and rollout.maxUnavailable are both 0",
        ),
        ({"resources": {"limits": {"cpu": None}}}, "resources.limits.cpu is not set"),
        ({"tracing": {"enabled": True}}, "tracing.enabled is true, but tracing.endpoint is empty"),
        (
            {
                "tracing": {"enabled": True, "endpoint": "http://a:4318"},
                "networkPolicy": {"enabled": True},
            },
            "networkPolicy.egress is empty: no span could reach tracing.endpoint",
        ),
        (
            {"autoscaling": {"mode": "hpa", "minReplicas": 5, "maxReplicas": 3}},
            "autoscaling.minReplicas is 5, more than autoscaling.maxReplicas 3",
        ),
        ({"autoscaling": {"mode": "keda"}}, "autoscaling.prometheusAddress is empty"),
        ({"autoscaling": {"mode": "hpa", "cpuPercent": 0}}, "autoscaling.podsMetric is empty"),
        (
            {"monitoring": {"serviceMonitor": True, "podMonitor": True}},
            "monitoring.serviceMonitor and monitoring.podMonitor are both true",
        ),
        (
            {"monitoring": {"serviceMonitor": True}, "service": {"type": "LoadBalancer"}},
            "service.type is LoadBalancer",
        ),
        (
            {"ports": {"health": 50051}},
            "must differ, and are [50051 9464 50051]",
        ),
        ({"model": {"source": "claim"}}, "model.claim.name is empty"),
        ({"model": {"source": "imageVolume"}}, "model.imageVolume.reference is empty"),
        ({"model": {"source": "download"}}, "model.download.bundles is empty"),
        ({"model": {"download": {"s3Region": "eu-1"}}}, "s3Region and model.download.s3Secret"),
        (
            {**values_of("download"), "networkPolicy": {"enabled": True}},
            "networkPolicy.egress is empty: the init container could reach nothing",
        ),
        ({"tls": {"enabled": True}}, "tls.enabled needs one of tls.secretName and tls.certManager"),
        (
            {"tls": {**TLS, "certManager": {"enabled": True, "issuer": {"name": "x"}}}},
            "tls.enabled needs one of",
        ),
        (
            {"tls": {"enabled": True, "certManager": {"enabled": True}}},
            "tls.certManager.issuer.name is empty",
        ),
        ({"tls": {"clientCA": {"secretName": "ca"}}}, "but tls.enabled is false"),
        (
            {"tls": {**TLS, "clientCA": {"allowedSubjects": ["a"]}}},
            "tls.clientCA.secretName is empty",
        ),
        ({"tls": {**TLS, "clientCA": {"secretName": "ca"}}}, "test.clientSecretName is empty"),
        ({"tls": TLS, "tokens": {"secretName": "t"}}, "test.tokenSecretName is empty"),
        (
            {"tokens": {"secretName": "t"}, "test": {"tokenSecretName": "t"}},
            "tls.enabled is false: helm test sends no token in plain text",
        ),
        ({"gateway": {"enabled": True}}, "gateway.parentRefs is empty"),
        (
            {"gateway": {"enabled": True, "parentRefs": [{"name": "a"}]}, "tls": TLS},
            "gateway.backendTLS.hostname is empty",
        ),
        ({"training": {"enabled": True}}, "training.runsClaim is empty"),
        (
            {"training": {"enabled": True, "runsClaim": "a", "run": "/data/x"}},
            "training.run is /data/x, which is not in /runs",
        ),
    ],
)
def test_values_that_do_not_go_together_are_refused_by_name(
    values: dict[str, Any], message: str
) -> None:
    with pytest.raises(helm_python.HelmRenderError) as caught:
        render(values)
    assert message in str(caught.value)


def test_a_rollout_may_be_in_shares_of_the_pods() -> None:
    shares = {"maxSurge": "25%", "maxUnavailable": "50%"}
    strategy = one(render({"rollout": shares}), "Deployment")["spec"]["strategy"]
    assert strategy["rollingUpdate"] == shares


def test_names_that_yaml_would_read_as_something_else_stay_as_they_are() -> None:
    objects = render(
        {
            "nameOverride": "1e3",
            "priorityClassName": "12",
            "image": {"pullSecrets": ["13"]},
            "gpu": {"enabled": True, "runtimeClassName": "14"},
            "model": {"source": "claim", "path": "/1,2", "claim": {"name": "15", "subPath": "16"}},
            "tls": {
                "enabled": True,
                "caKey": "17",
                "certManager": {
                    "enabled": True,
                    "issuer": {"name": "yes"},
                    "dnsNames": ["*.faces.example"],
                },
                "clientCA": {"secretName": "null", "key": "18"},
            },
            "tokens": {"secretName": "true", "key": "19"},
            "serviceAccount": {"name": "20"},
            "networkPolicy": {"enabled": True, "callers": [{"cidr": "::/0"}]},
            "batch": {"enabled": True, "claim": "21", "envSecret": "22"},
            "training": {"enabled": True, "config": "23", "run": "/runs/a,b", "runsClaim": "24"},
            "test": {"clientSecretName": "25", "tokenSecretName": "26", "tokenKey": "27"},
        }
    )
    for found in objects:
        if found["apiVersion"].count(".") == 0 or found["kind"] == "NetworkPolicy":
            kubernetes_validate.validate(found, "1.33", strict=True)
    assert "*.faces.example" in one(objects, "Certificate")["spec"]["dnsNames"]
    (callers, _) = one(objects, "NetworkPolicy")["spec"]["ingress"]
    assert {"ipBlock": {"cidr": "::/0"}} in callers["from"]
    variables = [variable for container in containers(objects) for variable in container["env"]]
    assert {"name": "RUN", "value": "/runs/a,b"} in variables


def test_no_part_of_the_schema_takes_keys_that_it_does_not_know() -> None:
    maps = []

    def look(schema: Any, path: str) -> None:  # noqa: ANN401 - JSON
        if isinstance(schema, dict):
            if schema.get("type") == "object":
                rest = schema.get("additionalProperties")
                assert rest is not None, path
                if rest is not False:
                    maps.append(path)
                    assert set(rest) == {"type"}, path
            for key, inner in schema.items():
                look(inner, f"{path}/{key}")

    look(SCHEMA, "")
    # Maps whose keys are the user's: labels, annotations, and settings of training (checked there).
    assert maps == [
        "/properties/tracing/properties/variables",
        "/properties/podLabels",
        "/properties/training/properties/settings",
        "/$defs/labels",
    ]


def test_every_value_is_in_the_schema_and_has_its_words_in_the_file() -> None:
    text = (CHART / "values.yaml").read_text()
    assert len(text.splitlines()) < 250
    _compare(yaml.safe_load(text), SCHEMA, "")
    assert _undescribed(text.splitlines()) == []


def _compare(values: dict[str, Any], schema: dict[str, Any], path: str) -> None:
    """Keys with a default and keys that are allowed must be the same, all the way down."""
    known = _resolved(schema).get("properties")
    if known is None or path in ("/server/settings", "/resources/requests", "/resources/limits"):
        return
    assert set(values) == set(known) - {"global"}, path
    for key, value in values.items():
        if isinstance(value, dict) and "resources" not in path:
            _compare(value, known[key], f"{path}/{key}")


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    return dict(SCHEMA["$defs"][reference.rpartition("/")[2]]) if reference else schema


def _undescribed(lines: list[str]) -> list[str]:
    """Lines with a key that have no comment, nor does the line above or what they are a part of."""
    found, parents = [], dict[int, bool]()
    for above, line in itertools.pairwise(["", *lines]):
        depth = len(line) - len(line.lstrip())
        if not line.strip() or line.lstrip().startswith(("#", "- ")):
            continue
        own = "#" in line or above.lstrip().startswith("#")
        parents = {level: known for level, known in parents.items() if level < depth}
        if not own and not any(parents.values()) and not line.endswith(":"):
            found.append(line)
        parents[depth] = own
    return found


def test_the_settings_that_may_be_given_are_the_server_s_but_for_those_that_the_chart_sets() -> (
    None
):
    known = SCHEMA["properties"]["server"]["properties"]["settings"]["properties"]
    every = {option_of(name).removeprefix("--") for name in Settings.model_fields}
    assert set(known) <= every
    assert every - set(known) == {
        *("models", "default-model", "device", "workers", "drain-delay", "drain-grace"),
        *("host", "port", "metrics", "metrics-host", "metrics-port", "health-host", "health-port"),
        *("admin-host", "admin-port", "tokens-file", "tensorrt-cache", "require-signature"),
        *("tracing", "tracing-ratio"),
        *("tls-cert", "tls-key", "tls-client-ca", "tls-allowed-subjects"),
    }
    properties = Settings.model_json_schema()["properties"]
    for option, limits in known.items():
        own = properties[option.replace("-", "_")]
        own = next((one for one in own.get("anyOf", ()) if one["type"] != "null"), own)
        keys = {"type", "minimum", "maximum", "exclusiveMinimum", "enum"} & own.keys()
        assert limits == {key: own[key] for key in keys}, option


def test_numbers_reach_the_server_as_they_were_written() -> None:
    values = values_of("settings")
    arguments = next(o for o in render(values) if o["kind"] == "Deployment")["spec"]["template"][
        "spec"
    ]["containers"][0]["args"]
    settings = load_settings(arguments, {})
    assert settings.max_message_bytes == values["server"]["settings"]["max-message-bytes"]
    assert settings.reflection is True
    assert settings.cuda_graphs is False
    assert settings.traffic == "faces/1=90,faces/2=10"


def _nested(path: str, value: object) -> dict[str, Any]:
    """The values that have one at a path; keys themselves may have dots and slashes at the end."""
    first, _, rest = path.partition(".")
    if not rest:
        return {first: value}
    if first == "limits":
        return {first: {rest: value}}
    return {first: _nested(rest, value)}
