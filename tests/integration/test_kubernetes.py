"""The manifests: valid for Kubernetes, and true of the services they run."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import kubernetes_validate
import pytest
import yaml

from backhaul.settings import environment_values, read_deployment
from edge.settings import EdgeSettings
from edge.settings import load_settings as load_edge
from region_agent.settings import RegionAgentSettings
from region_agent.settings import load_settings as load_agent
from tests.integration.dockerfile import read_dockerfile

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "deploy" / "kubernetes"
VERSIONS = ("1.30", kubernetes_validate.latest_version())
SERVICES = ("agent", "edge")
WORKLOADS = {"agent": "Deployment", "edge": "StatefulSet"}
NOT_OF_KUBERNETES = {"kustomization.yaml", "prometheus-adapter-values.yaml"}
SLEEP: dict[str, object] = {"sleep": {}}
"""For how long is missing."""
KEYS = {
    "agent": {"OPENAI_API_KEY": "sk-1", "REDIS_URL": "rediss://redis:6379"},
    "edge": {"TWILIO_AUTH_TOKEN": "token"},
}


def load(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((MANIFESTS / name).read_text()))


def documents() -> Iterator[dict[str, Any]]:
    for path in sorted(MANIFESTS.glob("*.yaml")):
        if path.name not in NOT_OF_KUBERNETES:
            yield from load(path.name)


def one(service: str, kind: str) -> dict[str, Any]:
    name = f"warmline-{service}"
    found = [
        document
        for document in documents()
        if (document["kind"], document["metadata"]["name"]) == (kind, name)
    ]
    assert len(found) == 1
    return found[0]


def workload_of(service: str) -> dict[str, Any]:
    return one(service, WORKLOADS[service])


def pod_of(service: str) -> dict[str, Any]:
    spec: dict[str, Any] = workload_of(service)["spec"]["template"]["spec"]
    return spec


def container_of(service: str) -> dict[str, Any]:
    (container,) = pod_of(service)["containers"]
    assert isinstance(container, dict)
    return container


def environment_of(service: str) -> dict[str, str]:
    """Return the image's variables, the manifest's, and the secrets'."""
    _, stages = read_dockerfile(ROOT / "Dockerfile")
    fields = {"status.podIP": "10.1.2.3", "metadata.name": f"warmline-{service}-1"}
    own = {
        variable["name"]: variable.get("value")
        or fields[variable["valueFrom"]["fieldRef"]["fieldPath"]]
        for variable in container_of(service)["env"]
    }
    own = {name: value.replace("$(POD_IP)", "10.1.2.3") for name, value in own.items()}
    return {**stages[-1].environment(), **own, **KEYS[service]}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_manifest_is_valid(version: str) -> None:
    found = list(documents())
    assert len(found) > 10
    for document in found:
        kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "template", "spec", "containers", 0, "readinesProbe"), {}),
        (
            ("spec", "template", "spec", "containers", 0, "ports", 0, "containerPort"),
            "x",
        ),
        (("spec", "template", "spec", "containers", 0, "lifecycle", "preStop"), 15),
        (("spec", "template", "spec", "terminationGracePeriodSecond"), 15),
        (("spec", "template", "spec", "containers", 0, "lifecycle", "preStop"), SLEEP),
    ],
)
def test_a_planted_mistake_is_found(path: tuple[str | int, ...], value: object) -> None:
    document: Any = copy.deepcopy(one("agent", "Deployment"))
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(document, VERSIONS[-1], strict=True)


def test_kustomize_names_every_manifest() -> None:
    (kustomization,) = load("kustomization.yaml")
    files = {path.name for path in MANIFESTS.glob("*.yaml")} - NOT_OF_KUBERNETES
    assert set(kustomization["resources"]) == files
    (generated,) = kustomization["configMapGenerator"]
    assert all((MANIFESTS / name).is_file() for name in generated["files"])
    used = {container_of(service)["image"] for service in SERVICES}
    assert used == {image["name"] for image in kustomization["images"]}


@pytest.mark.parametrize("service", SERVICES)
def test_pods_may_do_nothing_but_their_work(service: str) -> None:
    pod, container = pod_of(service), container_of(service)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    _, stages = read_dockerfile(ROOT / "Dockerfile")
    user = (
        f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}"
    )
    assert user == stages[-1].last("USER")


def test_services_understand_their_variables_and_configuration() -> None:
    deployment = read_deployment(MANIFESTS / "warmline.toml")
    agent = load_agent(deployment, environ=environment_of("agent"))
    edge = load_edge(deployment, None, environ=environment_of("edge"))
    assert agent.advertise_address == f"10.1.2.3:{agent.listen_port}"
    assert edge.name == "warmline-edge-1"
    assert edge.public_url == "https://edge-1.voice.example.com"
    ports = {
        port["name"]: port["containerPort"]
        for service in SERVICES
        for port in container_of(service)["ports"]
    }
    assert ports == {
        "links-tcp": agent.listen_port,
        "links-udp": agent.listen_port,
        "http": edge.http_port,
        "media": edge.media_port,
        "admin": edge.admin_port,
    }
    assert (agent.admin_port, agent.admin_host, edge.admin_host) == (
        *(edge.admin_port, "0.0.0.0", "0.0.0.0"),  # noqa: S104
    )


def test_a_misspelt_variable_would_be_found() -> None:
    for struct, prefix in (
        (EdgeSettings, "EDGE_"),
        (RegionAgentSettings, "REGION_AGENT_"),
    ):
        with pytest.raises(Exception, match="unknown environment variable"):
            environment_values(
                struct, prefix=prefix, aliases={}, environ={f"{prefix}DRAIN_TIME": "1"}
            )


@pytest.mark.parametrize("service", SERVICES)
def test_calls_have_their_time_before_a_pod_is_killed(service: str) -> None:
    pod, container = pod_of(service), container_of(service)
    environment = environment_of(service)
    drain_s = next(
        float(value)
        for name, value in environment.items()
        if name.endswith("_DRAIN_TIMEOUT_S")
    )
    notice_s = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] >= notice_s + drain_s + 60
    probe = container["readinessProbe"]
    assert notice_s >= probe["periodSeconds"] * probe["failureThreshold"]


@pytest.mark.parametrize("service", SERVICES)
def test_probes_ask_what_is_answered_without_a_token(service: str) -> None:
    container = container_of(service)
    paths = {
        probe: container[probe]["httpGet"]["path"]
        for probe in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    assert set(paths.values()) <= {"/livez", "/readyz"}
    assert paths["livenessProbe"] == "/livez"


def test_autoscaling_is_quick_up_and_slow_down() -> None:
    spec = one("agent", "HorizontalPodAutoscaler")["spec"]
    assert spec["scaleTargetRef"]["name"] == workload_of("agent")["metadata"]["name"]
    assert "replicas" not in workload_of("agent")["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 20)
    up, down = spec["behavior"]["scaleUp"], spec["behavior"]["scaleDown"]
    assert up["stabilizationWindowSeconds"] == 30
    assert down["stabilizationWindowSeconds"] == 300


def test_every_edge_has_a_name_a_host_and_a_way_to_it() -> None:
    deployment = read_deployment(MANIFESTS / "warmline.toml")
    count = workload_of("edge")["spec"]["replicas"]
    names = [f"warmline-edge-{number}" for number in range(count)]
    assert list(deployment.edges) == names
    rules = {rule["host"]: rule["http"]["paths"] for rule in ingress()["spec"]["rules"]}
    assert set(rules) == set(ingress()["spec"]["tls"][0]["hosts"])
    for number, name in enumerate(names):
        service = one(f"edge-{number}", "Service")["spec"]
        pod = {"statefulset.kubernetes.io/pod-name": name}
        assert service["selector"] == pod
        assert service["publishNotReadyAddresses"] is True
        paths = rules[str(urlsplit(deployment.edges[name]["public_url"]).hostname)]
        led = {
            path["path"]: tuple(path["backend"]["service"].values()) for path in paths
        }
        assert led == {
            "/twilio/media/": (name, {"name": "media"}),
            "/twilio/": (name, {"name": "http"}),
        }
    shared = str(urlsplit(deployment.edge["shared_url"]).hostname)
    (path,) = rules[shared]
    assert path["backend"]["service"]["name"] == "warmline-edge"
    assert set(rules) - {shared} == {f"edge-{number}.{shared}" for number in (0, 1)}


def ingress() -> dict[str, Any]:
    return one("edge", "Ingress")


def test_agents_are_scaled_by_calls_which_the_adapter_tells() -> None:
    (metric,) = one("agent", "HorizontalPodAutoscaler")["spec"]["metrics"]
    assert metric["pods"]["target"] == {"type": "AverageValue", "averageValue": "30"}
    deployment = read_deployment(MANIFESTS / "warmline.toml")
    assert load_agent(deployment, environ=environment_of("agent")).target_calls > 30
    (values,) = load("prometheus-adapter-values.yaml")
    (rule,) = values["rules"]["custom"]
    assert rule["name"]["as"] == metric["pods"]["metric"]["name"]
    assert rule["name"]["matches"] == "^active_calls$"
    assert rule["seriesQuery"].startswith("active_calls{")


def test_links_are_reached_over_udp_and_tcp_on_one_port() -> None:
    ports = one("agent", "Service")["spec"]["ports"]
    assert {(port["port"], port["protocol"]) for port in ports} == {
        (7443, "TCP"),
        (7443, "UDP"),
    }


@pytest.mark.parametrize("service", SERVICES)
def test_everything_selects_the_same_pods(service: str) -> None:
    labels = workload_of(service)["spec"]["template"]["metadata"]["labels"]
    selectors = [
        workload_of(service)["spec"]["selector"]["matchLabels"],
        one(service, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        one(service, "Service")["spec"]["selector"],
        one(service, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
    ]
    assert all(selector.items() <= labels.items() for selector in selectors)
    names = {port["name"] for port in container_of(service)["ports"]}
    targets = {port["targetPort"] for port in one(service, "Service")["spec"]["ports"]}
    assert targets <= names
