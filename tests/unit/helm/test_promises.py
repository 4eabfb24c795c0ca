"""What holds for the objects of every values file, and what single values change."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from evenface_server.options import load_settings
from evenface_server.probes import LIVENESS, READINESS
from evenface_server.settings import Settings
from evenface_server.supervisor import supervisor
from support.charts import (
    CASES,
    CHART,
    containers,
    of_kind,
    one,
    options,
    pods,
    render,
    rendered,
    server,
    server_pod,
    values_of,
)

DEFAULTS = {name: field.default for name, field in Settings.model_fields.items()}
SERVICES = ("evenface.v1.FaceService", "evenface.v1.ModelService")
GPU_CASES = {"gpu", "gpu-single", "production"}


@pytest.mark.parametrize("case", CASES)
def test_pods_are_no_root_write_nowhere_but_to_volumes_and_have_no_token(case: str) -> None:
    for _, pod in pods(rendered(case)):
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        security = pod["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["runAsUser"] == security["runAsGroup"] == security["fsGroup"] == 10001
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        assert not any("hostPath" in volume for volume in pod["volumes"])
    for container in containers(rendered(case)):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"cpu", "memory"} <= set(container["resources"]["limits"])
        assert any(mount["mountPath"] == "/tmp" for mount in container["volumeMounts"])  # noqa: S108


@pytest.mark.parametrize("case", CASES)
def test_every_mount_has_its_volume_and_every_volume_its_mount(case: str) -> None:
    for _, pod in pods(rendered(case)):
        every = (*pod.get("initContainers", ()), *pod["containers"])
        mounted = {mount["name"] for container in every for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}


@pytest.mark.parametrize("case", CASES)
def test_models_secrets_and_data_are_mounted_read_only(case: str) -> None:
    for container in containers(rendered(case)):
        for mount in container["volumeMounts"]:
            writable = mount["name"] in ("scratch", "shared-memory", "runs") or (
                (container["name"], mount["name"]) in (("download", "models"), ("batch", "data"))
            )
            assert mount.get("readOnly", False) is not writable, mount


@pytest.mark.parametrize("case", CASES)
def test_probes_ask_the_plain_port_for_what_they_are_about(case: str) -> None:
    container = server(rendered(case))
    port = int(options(container)["health-port"])
    asked = {
        probe: container[f"{probe}Probe"]["grpc"] for probe in ("startup", "readiness", "liveness")
    }
    assert asked == {
        "startup": {"port": port, "service": READINESS},
        "readiness": {"port": port, "service": READINESS},
        "liveness": {"port": port, "service": LIVENESS},
    }
    startup = container["startupProbe"]
    values = {**yaml.safe_load((CHART / "values.yaml").read_text()), **values_of(case)}
    allowed = startup["periodSeconds"] * startup["failureThreshold"]
    assert allowed >= values["probes"].get("startupSeconds", 300)
    progress = one(rendered(case), "Deployment")["spec"]["progressDeadlineSeconds"]
    assert progress > allowed


@pytest.mark.parametrize("case", CASES)
def test_ports_agree_from_the_server_s_options_to_services_and_monitors(case: str) -> None:
    objects = rendered(case)
    container = server(objects)
    named = {port["name"]: port["containerPort"] for port in container["ports"]}
    given = options(container)
    assert {name: int(given[option]) for name, option in _PORT_OPTIONS.items()} == named
    assert all(given[f"{which}host"] == "0.0.0.0" for which in ("", "metrics-", "health-"))  # noqa: S104
    for service in of_kind(objects, "Service"):
        for port in service["spec"]["ports"]:
            assert port["targetPort"] == port["name"] != "health"
            assert port["port"] == named[port["name"]]
    for monitor in of_kind(objects, "ServiceMonitor"):
        (endpoint,) = monitor["spec"]["endpoints"]
        shown = [p for s in of_kind(objects, "Service") for p in s["spec"]["ports"]]
        assert [port["name"] for port in shown].count(endpoint["port"]) == 1
    for monitor in of_kind(objects, "PodMonitor"):
        (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
        assert endpoint["port"] in named
    for policy in of_kind(objects, "NetworkPolicy"):
        ports = {port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]}
        assert ports == {"grpc", "metrics"}


_PORT_OPTIONS = {"grpc": "port", "metrics": "metrics-port", "health": "health-port"}


def test_ports_that_nobody_changes_are_the_server_s_own() -> None:
    given = options(server(rendered("default")))
    assert int(given["port"]) == DEFAULTS["port"]
    assert int(given["metrics-port"]) == DEFAULTS["metrics_port"]


@pytest.mark.parametrize("case", CASES)
def test_the_server_takes_its_arguments(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"EVENFACE_{name.upper()}", raising=False)
    settings = load_settings(server(rendered(case))["args"], {})
    # As the kubelet's probes and other pods are not on this host.
    assert settings.health_host == settings.host == settings.metrics_host
    assert settings.admin_host == DEFAULTS["admin_host"]


@pytest.mark.parametrize("case", CASES)
def test_selectors_select_the_server_s_pods_and_no_others(case: str) -> None:
    objects = rendered(case)
    selectors = [service["spec"]["selector"] for service in of_kind(objects, "Service")]
    for kind in ("Deployment", "PodDisruptionBudget", "PodMonitor"):
        selectors += [o["spec"]["selector"]["matchLabels"] for o in of_kind(objects, kind)]
    selectors += [
        o["spec"]["podSelector"]["matchLabels"] for o in of_kind(objects, "NetworkPolicy")
    ]
    for spread in server_pod(objects).get("topologySpreadConstraints", ()):
        selectors.append(spread["labelSelector"]["matchLabels"])
    assert len(selectors) >= 2
    for selector in selectors:
        chosen = {
            labels["app.kubernetes.io/component"]
            for labels, _ in pods(objects)
            if selector.items() <= labels.items()
        }
        assert chosen == {"server"}
    for monitor in of_kind(objects, "ServiceMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        assert all(wanted <= s["metadata"]["labels"].items() for s in of_kind(objects, "Service"))


@pytest.mark.parametrize("case", sorted(set(CASES) - GPU_CASES))
def test_values_for_cpus_ask_for_no_gpu(case: str) -> None:
    objects = rendered(case)
    pod = server_pod(objects)
    assert "runtimeClassName" not in pod
    assert "nvidia" not in str(pod)
    assert options(server(objects))["device"] == "cpu"


@pytest.mark.parametrize("case", sorted(GPU_CASES))
def test_values_for_gpus_ask_for_one_in_the_server_alone(case: str) -> None:
    objects = rendered(case)
    limits = server(objects)["resources"]["limits"]
    assert [value for name, value in limits.items() if name.startswith("nvidia.com/")] == [1]
    assert options(server(objects))["device"] == "cuda"
    others = [c for c in containers(objects) if c["name"] != "server"]
    assert not any("nvidia" in str(container["resources"]) for container in others)


def test_the_time_to_end_is_what_the_server_can_take() -> None:
    waits = _constants(Path(supervisor.__file__))
    # Workers that overrun their grace, then told to stop, then killed; side ports.
    closing = 2 * waits["_CLOSING_SECONDS"] + waits["_STOP_SECONDS"] + 2
    for case in CASES:
        container, pod = server(rendered(case)), server_pod(rendered(case))
        given = options(container)
        before = container.get("lifecycle", {"preStop": {"sleep": {"seconds": 0}}})["preStop"]
        needed = before["sleep"]["seconds"] + int(given["drain-delay"]) + int(given["drain-grace"])
        assert pod["terminationGracePeriodSeconds"] >= needed + closing, case


def _constants(path: Path) -> dict[str, float]:
    """The numbers that a module names at its top."""
    body = ast.parse(path.read_text()).body
    return {
        str(getattr(line.target, "id", "")): line.value.value
        for line in body
        if isinstance(line, ast.AnnAssign)
        and isinstance(line.value, ast.Constant)
        and isinstance(line.value.value, float)
    }


def test_one_gpu_is_given_up_before_it_is_asked_for_again() -> None:
    strategy = one(rendered("gpu-single"), "Deployment")["spec"]["strategy"]["rollingUpdate"]
    assert strategy == {"maxSurge": 0, "maxUnavailable": 1}


def test_what_scales_leaves_the_number_of_pods_alone() -> None:
    for case in ("hpa", "keda", "production"):
        assert "replicas" not in one(rendered(case), "Deployment")["spec"]
    assert one(rendered("default"), "Deployment")["spec"]["replicas"] == 2


def test_scalers_aim_at_the_deployment_and_the_wait_that_was_set() -> None:
    (pods_metric,) = [
        m for m in one(rendered("hpa"), "HorizontalPodAutoscaler")["spec"]["metrics"] if "pods" in m
    ]
    assert pods_metric["pods"]["target"] == {"type": "AverageValue", "averageValue": "50m"}
    scaled = one(rendered("keda"), "ScaledObject")["spec"]
    assert scaled["scaleTargetRef"]["name"] == "demo-evenface"
    wait, refused = scaled["triggers"]
    assert (wait["metricType"], wait["metadata"]["threshold"]) == ("Value", "0.05")
    assert (refused["metricType"], refused["metadata"]["threshold"]) == ("AverageValue", "1")
    pattern = re.search(r'pod=~"([^"]+)"', wait["metadata"]["query"])
    assert pattern is not None
    assert re.fullmatch(pattern[1], "demo-evenface-7d4b9c6f5-x2x9z")
    assert not re.fullmatch(pattern[1], "demo-evenface-batch-1a2b3c4d-7d4b9-x2x9z")


def test_a_digest_is_what_is_run() -> None:
    digest = "sha256:" + "a" * 64
    assert server(rendered("gpu"))["image"] == (
        f"registry.example.com/evenface-server:0.1.0-cuda@{digest}"
    )
    assert server(rendered("production"))["image"] == (
        f"registry.example.com/evenface-server@{digest}"
    )
    assert server(rendered("default"))["image"] == "evenface-server:0.1.0"
    assert server(rendered("gpu-single"))["image"] == "evenface-server:0.1.0-cuda"


@pytest.mark.parametrize("case", ["mtls", "tls-secret", "gateway-tls", "production"])
def test_certificates_and_tokens_are_folders_so_that_changes_are_seen(case: str) -> None:
    pod, container = server_pod(rendered(case)), server(rendered(case))
    files = [v for v in options(container).values() if v.startswith("/etc/evenface/")]
    assert len(files) >= 2
    folders = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert {str(Path(file).parent) for file in files} <= folders
    assert not any("subPath" in mount for mount in container["volumeMounts"])
    secrets = [volume["secret"] for volume in pod["volumes"] if "secret" in volume]
    assert all(secret["defaultMode"] == 0o440 for secret in secrets)


def test_the_certificate_has_the_names_of_both_services() -> None:
    objects = rendered("mtls")
    names = one(objects, "Certificate")["spec"]["dnsNames"]
    for service in of_kind(objects, "Service"):
        name = service["metadata"]["name"]
        assert {name, f"{name}.faces.svc", f"{name}.faces.svc.cluster.local"} <= set(names)
    assert "faces.example.com" in names
    wanted = one(objects, "Certificate")["spec"]["secretName"]
    (mounted,) = [v for v in server_pod(objects)["volumes"] if v["name"] == "tls"]
    assert mounted["secret"]["secretName"] == wanted


def test_the_key_of_the_server_is_mounted_in_the_server_alone() -> None:
    for labels, pod in pods(rendered("mtls")):
        for volume in pod["volumes"]:
            if volume.get("secret", {}).get("secretName") == "demo-evenface-tls":
                items = [item["key"] for item in volume["secret"].get("items", ())]
                is_server = labels["app.kubernetes.io/component"] == "server"
                assert items == ([] if is_server else ["ca.crt"])


def test_a_network_policy_lets_in_callers_tests_and_jobs_and_nothing_out() -> None:
    calls, metrics = (policy := one(rendered("network-policy"), "NetworkPolicy")["spec"])["ingress"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["egress"] == []
    own, *others = calls["from"]
    assert own == {"podSelector": {"matchLabels": {"app.kubernetes.io/instance": "demo"}}}
    assert [sorted(peer) for peer in others] == [
        ["namespaceSelector", "podSelector"],
        ["namespaceSelector", "podSelector"],
        ["ipBlock"],
    ]
    assert len(metrics["from"]) == 1


def test_a_job_that_has_changed_has_another_name() -> None:
    def name(**training: Any) -> str:  # noqa: ANN401 - values
        values = values_of("training")
        values["training"] |= training
        return str(one(render(values), "Job")["metadata"]["name"])

    assert name() == name() == one(rendered("training"), "Job")["metadata"]["name"]
    assert name() != name(config="faces")


@pytest.mark.parametrize("case", ["batch-job", "batch-cron", "training", "training-gpus"])
def test_jobs_go_on_where_nodes_are_drained_and_are_tried_again_where_they_fail(case: str) -> None:
    jobs = of_kind(rendered(case), "Job") + [
        o["spec"]["jobTemplate"] for o in of_kind(rendered(case), "CronJob")
    ]
    (job,) = jobs
    (rule,) = job["spec"]["podFailurePolicy"]["rules"]
    assert rule["action"] == "Ignore"
    assert rule["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
    assert job["spec"]["backoffLimit"] == 6
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"


def test_dashboard_and_rules_are_the_files_of_the_chart() -> None:
    objects = rendered("production")
    data = one(objects, "ConfigMap")["data"]["evenface.json"]
    assert data == (CHART / "files" / "dashboard.json").read_text()
    rules = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())
    assert one(objects, "PrometheusRule")["spec"] == rules


@pytest.mark.parametrize(
    ("given", "services"),
    [
        ({}, [*SERVICES]),
        ({"open-inference": False}, [*SERVICES]),
        ({"open-inference": True}, [*SERVICES, "inference.GRPCInferenceService"]),
    ],
)
def test_a_gateway_lets_through_what_the_server_s_settings_switch_on(
    given: dict[str, bool], services: list[str]
) -> None:
    values = {**values_of("gateway"), "server": {"settings": given}}
    (rule,) = one(render(values), "GRPCRoute")["spec"]["rules"]
    assert [match["method"]["service"] for match in rule["matches"]] == services


def test_a_gateway_lets_no_service_through_twice() -> None:
    values = values_of("gateway")
    values["gateway"]["services"] = ["inference.GRPCInferenceService"]
    values["server"] = {"settings": {"open-inference": True}}
    (rule,) = one(render(values), "GRPCRoute")["spec"]["rules"]
    assert len(rule["matches"]) == 1


def test_the_keys_of_signers_are_where_server_and_job_look_for_them() -> None:
    objects = rendered("signed")
    job = one(objects, "Job")["spec"]["template"]["spec"]
    for pod in (server_pod(objects), job):
        (container,) = pod["containers"]
        given = " ".join(container["args"]).replace("=", " ").split()
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        wanted = given[given.index("--require-signature") + 1]
        assert wanted == f"{mounts['signatures']}/signers.pem"
        (volume,) = [v["configMap"] for v in pod["volumes"] if v["name"] == "signatures"]
        assert (volume["name"], volume["items"][0]["path"]) == ("model-signers", "signers.pem")


def test_traces_go_to_the_collector_with_the_pods_name() -> None:
    container = server(rendered("tracing"))
    assert options(container)["tracing-ratio"] == "0.01"
    variables = {one["name"]: one.get("value") for one in container["env"]}
    assert variables["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://collector.tracing:4318"
    assert variables["OTEL_SERVICE_NAME"] == "faces"
    attributes = str(variables["OTEL_RESOURCE_ATTRIBUTES"])
    assert attributes == "k8s.pod.name=$(POD_NAME),k8s.namespace.name=faces"
    (headers,) = [one for one in container["env"] if one["name"] == "OTEL_EXPORTER_OTLP_HEADERS"]
    assert headers["valueFrom"]["secretKeyRef"] == {"name": "collector-token", "key": "headers"}
    names = [one["name"] for one in container["env"]]  # a variable is known from there on
    assert names.index("POD_NAME") < names.index("OTEL_RESOURCE_ATTRIBUTES")
