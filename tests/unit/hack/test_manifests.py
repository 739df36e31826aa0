"""The manifests as kustomize renders them: restricted, bounded, and with no right too many."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from hack.cluster.errors import ClusterError
from hack.deploy import overlay_for, progress_of, waiting_reasons
from hack.kubectl import program
from hack.services.install import gitea_configuration, manifests
from hack.services.storage import PERSISTENT, Claim, Ephemeral, Folder
from hack.services.workspace import component_objects
from mlops_operator.settings import Settings

CLONE = Path(__file__).parents[3]
OBJECTS = list[dict[str, Any]]
IMAGES = {
    "localhost/mlops-operator": "localhost/mlops-operator:k1",
    "localhost/mlops-agent": "localhost/mlops-agent:k2",
}


def kustomize(folder: Path) -> OBJECTS:
    try:
        command = [program(), "kustomize", str(folder)]
    except ClusterError as error:
        pytest.skip(str(error))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [found for found in yaml.safe_load_all(done.stdout) if found]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> OBJECTS:
    folder = tmp_path_factory.mktemp("deploy")
    return kustomize(overlay_for(IMAGES, CLONE / "manifests/overlays/local", folder))


def only(objects: OBJECTS, kind: str, name: str) -> dict[str, Any]:
    (found,) = (o for o in objects if o["kind"] == kind and o["metadata"]["name"].startswith(name))
    return found


def containers(objects: OBJECTS) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for deployment in objects:
        if deployment["kind"] == "Deployment":
            pod = deployment["spec"]["template"]["spec"]
            for container in [*pod.get("initContainers", []), *pod["containers"]]:
                yield pod, container


def check_restricted(objects: OBJECTS) -> None:
    found = list(containers(objects))
    assert found
    for pod, container in found:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False, container["name"]
        assert context["readOnlyRootFilesystem"] is True, container["name"]
        assert context["capabilities"] == {"drop": ["ALL"]}, container["name"]
        assert {"cpu", "memory"} <= set(container["resources"]["requests"]), container["name"]
        assert "memory" in container["resources"]["limits"], container["name"]


def test_the_operators_containers_are_restricted_and_bounded(rendered: OBJECTS) -> None:
    check_restricted(rendered)


def test_the_deployment_names_the_images_of_this_content(rendered: OBJECTS) -> None:
    (container,) = only(rendered, "Deployment", "mlops-operator")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "localhost/mlops-operator:k1"


def test_a_changed_agent_image_makes_a_new_configuration_and_so_a_new_pod(
    tmp_path: Path, rendered: OBJECTS
) -> None:
    images = IMAGES | {"localhost/mlops-agent": "localhost/mlops-agent:other"}
    other = kustomize(overlay_for(images, CLONE / "manifests/overlays/local", tmp_path))

    def mounted(objects: OBJECTS) -> str:
        volumes = only(objects, "Deployment", "mlops-operator")["spec"]["template"]["spec"]["volumes"]
        return next(str(v["configMap"]["name"]) for v in volumes if v["name"] == "config")

    assert mounted(rendered) != mounted(other)
    assert only(rendered, "ConfigMap", "mlops-operator-config")["metadata"]["name"] == mounted(rendered)


@pytest.mark.parametrize("overlay", ["base", "overlays/local"])
def test_the_operator_reads_the_configuration(overlay: str, tmp_path: Path) -> None:
    config = only(kustomize(CLONE / "manifests" / overlay), "ConfigMap", "mlops-operator-config")
    path = tmp_path / "config.yaml"
    path.write_text(config["data"]["config.yaml"])

    assert Settings.load(path).agent_image


def test_the_local_overlay_says_what_the_demo_needs(rendered: OBJECTS, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(only(rendered, "ConfigMap", "mlops-operator-config")["data"]["config.yaml"])
    settings = Settings.load(path)

    assert settings.agent_image == "localhost/mlops-agent:k2"
    assert settings.s3.endpoint in settings.s3.allowed_endpoints
    assert settings.accelerator_classes["gpu-demo"].resource == "nvidia.com/gpu"


def test_the_three_kinds_come_along(rendered: OBJECTS) -> None:
    kinds = {o["spec"]["names"]["kind"] for o in rendered if o["kind"] == "CustomResourceDefinition"}
    assert kinds == {"TrainingRun", "TrainingDataset", "ModelVersion"}


def test_pods_reach_the_progress_endpoint_through_the_service(rendered: OBJECTS) -> None:
    service = only(rendered, "Service", "mlops-operator")
    deployment = only(rendered, "Deployment", "mlops-operator")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert [ports[port["targetPort"]] for port in service["spec"]["ports"]] == [8443]
    assert [port["port"] for port in service["spec"]["ports"]] == [443]


def rules(objects: OBJECTS, kind: str, name: str) -> set[tuple[str, str, str]]:
    found = only(objects, kind, name)["rules"]
    return {
        (g, r, v)
        for rule in found
        for g in rule["apiGroups"]
        for r in rule["resources"]
        for v in rule["verbs"]
    }


def test_the_operator_reads_no_secret_and_makes_nothing_outside_of_workspaces(rendered: OBJECTS) -> None:
    everywhere = rules(rendered, "ClusterRole", "mlops-operator")
    assert not [rule for rule in everywhere if "*" in rule or rule[1] == "secrets"]
    changes = {rule for rule in everywhere if rule[2] not in {"get", "list", "watch"}}
    allowed = {
        ("mlops.eoepca.org", f"{kind}/status")
        for kind in ("trainingruns", "trainingdatasets", "modelversions")
    }
    allowed |= {("events.k8s.io", "events"), ("authentication.k8s.io", "tokenreviews")}
    assert {(group, resource) for group, resource, _ in changes} == allowed


def test_namespaces_are_watched_only_where_zones_are_configured(rendered: OBJECTS) -> None:
    assert rules(rendered, "ClusterRole", "mlops-zones") == {
        ("", "namespaces", verb) for verb in ("list", "watch")
    }
    base = kustomize(CLONE / "manifests/base")
    assert "namespaces" not in {rule[1] for rule in rules(base, "ClusterRole", "mlops-operator")}
    assert not [o for o in base if o["metadata"]["name"] == "mlops-zones"]


def test_a_workspace_grants_the_operators_service_account_in_its_own_namespace() -> None:
    role, binding = component_objects("ws-alice")
    assert {role["metadata"]["namespace"], binding["metadata"]["namespace"]} == {"ws-alice"}
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": "mlops-operator", "namespace": "mlops-system"}
    ]
    assert binding["roleRef"]["kind"] == "Role"
    assert not [rule for rule in rules([role], "Role", "mlops-operator") if "*" in rule]


def test_the_workspace_component_as_kustomize_places_it(tmp_path: Path) -> None:
    component = CLONE / "manifests/components/workspace"
    relative = Path("../" * len(tmp_path.resolve().parts[1:])) / component.relative_to("/")
    wish = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "namespace": "ws-alice"}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(wish | {"components": [str(relative)]}))

    assert kustomize(tmp_path) == component_objects("ws-alice")


@pytest.mark.parametrize("storage", [Claim(), Ephemeral()])
def test_the_services_are_restricted_and_bounded(storage: Claim | Ephemeral) -> None:
    images = {"localhost/versitygw": "r/versitygw:1", "localhost/gitea": "r/gitea:1"}
    objects = manifests(images, dict.fromkeys(images, "key"), storage)
    check_restricted(objects)
    assert {container["image"] for _, container in containers(objects)} == set(images.values())


def test_every_persistent_volume_is_put_where_it_keeps(tmp_path: Path) -> None:
    images = {"localhost/versitygw": "r/versitygw:1", "localhost/gitea": "r/gitea:1"}
    keys = dict.fromkeys(images, "key")
    claims = {
        o["metadata"]["name"]
        for o in manifests(images, keys, Claim())
        if o["kind"] == "PersistentVolumeClaim"
    }
    assert claims == PERSISTENT

    folders = {
        volume["hostPath"]["path"]
        for o in manifests(images, keys, Folder(tmp_path))
        if o["kind"] == "Deployment"
        for volume in o["spec"]["template"]["spec"]["volumes"]
        if "hostPath" in volume
    }
    assert folders == {str(tmp_path / name) for name in PERSISTENT}
    assert all(Path(folder).is_dir() for folder in folders)


def test_gitea_starts_without_writing_its_configuration() -> None:
    text = gitea_configuration()
    # Each of these keys, if it were missing, would be made and written at the start, to a read-only file.
    for key in ("SECRET_KEY", "INTERNAL_TOKEN", "LFS_JWT_SECRET", "JWT_SECRET"):
        (value,) = {line.partition(" = ")[2] for line in text.splitlines() if line.startswith(f"{key} = ")}
        assert len(value) >= 43
    assert text != gitea_configuration()
    assert text.index("WORK_PATH") < text.index("[server]")


def test_a_rollout_is_done_when_only_new_pods_are_there_and_ready() -> None:
    new = {"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1}
    wish: dict[str, Any] = {"metadata": {"generation": 2}, "spec": {"replicas": 1}}
    assert progress_of(wish | {"status": new})[0]
    for lacking in ({"observedGeneration": 1}, {"updatedReplicas": 0}, {"readyReplicas": 0}, {"replicas": 2}):
        assert not progress_of(wish | {"status": new | lacking})[0], lacking
    assert not progress_of(wish)[0]


def test_a_waiting_pod_says_why() -> None:
    waiting = {"state": {"waiting": {"reason": "ErrImageNeverPull", "message": "no image"}}}
    unplaced = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}
    pods: OBJECTS = [{"status": {"containerStatuses": [waiting], "conditions": [unplaced]}}]
    assert waiting_reasons(pods) == ["ErrImageNeverPull no image", "0/1 nodes are available"]
