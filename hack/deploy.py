"""`python -m hack.deploy`: the operator into the cluster, with the images of this clone."""

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from hack.cluster.errors import ClusterError
from hack.cluster.places import HERE
from hack.images.build import build
from hack.images.catalogue import chosen
from hack.images.errors import ImageError
from hack.images.load import load
from hack.images.progress import step
from hack.kubectl import FIELD_MANAGER, Kubectl, default_kubeconfig

NAMESPACE = "mlops-system"
DEPLOYMENT = "mlops-operator"
OPERATOR_IMAGE = "localhost/mlops-operator"
AGENT_IMAGE = "localhost/mlops-agent"
ROLLOUT_SECONDS = 120
LOG_LINES = 60


def overlay_for(images: Mapping[str, str], overlay: Path, folder: Path) -> Path:
    """Write an overlay over the committed one that names the images by their keys.

    Parameters
    ----------
    images
        Image name → the reference under which the cluster has it.
    overlay
        The overlay to build on: a kustomization with a config.yaml.
    folder
        Where to write.

    Returns
    -------
    Path
        The folder, for `kubectl kustomize`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    configuration = yaml.safe_load((overlay / "config.yaml").read_text())
    configuration["agentImage"] = images[AGENT_IMAGE]
    (folder / "config.yaml").write_text(yaml.safe_dump(configuration, sort_keys=False))
    name, _, tag = images[OPERATOR_IMAGE].rpartition(":")
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": NAMESPACE,
        "resources": [os.path.relpath(overlay, folder)],
        "images": [{"name": OPERATOR_IMAGE, "newName": name, "newTag": tag}],
        "configMapGenerator": [
            {"name": "mlops-operator-config", "behavior": "merge", "files": ["config.yaml"]}
        ],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization, sort_keys=False))
    return folder


def progress_of(deployment: Mapping[str, Any]) -> tuple[bool, str]:
    """Tell whether a Deployment runs what was asked for, and in one line how far it is."""
    status = deployment.get("status", {})
    wanted = deployment["spec"]["replicas"]
    if status.get("observedGeneration", 0) < deployment["metadata"]["generation"]:
        return False, "waiting for the Deployment to be seen"
    updated, ready = status.get("updatedReplicas", 0), status.get("readyReplicas", 0)
    done = updated == wanted and ready == wanted and status.get("replicas", 0) == wanted
    return done, f"{ready} of {wanted} ready"


def waiting_reasons(pods: list[dict[str, Any]]) -> list[str]:
    """Say why pods are not ready, as Kubernetes puts it."""
    reasons = []
    for pod in pods:
        for container in pod.get("status", {}).get("containerStatuses", []):
            state = container["state"].get("waiting") or container["state"].get("terminated") or {}
            if state:
                reasons.append(f"{state.get('reason', '?')} {state.get('message', '')}".strip())
        reasons += [
            condition.get("message", condition.get("reason", ""))
            for condition in pod.get("status", {}).get("conditions", [])
            if condition["type"] == "PodScheduled" and condition["status"] == "False"
        ]
    return reasons


def logs(kubectl: Kubectl) -> str:
    """Give the last lines of the operator, of the crashed container too where there was one."""
    found = []
    for previous in ("--previous", "--previous=false"):
        try:
            found.append(
                kubectl.run(
                    "--namespace",
                    NAMESPACE,
                    "logs",
                    f"deployment/{DEPLOYMENT}",
                    f"--tail={LOG_LINES}",
                    previous,
                )
            )
        except ClusterError as error:
            # There is no earlier container, or none yet: the other call shows what there is.
            found.append(f"({error})")
    return "\n".join(found)


def wait_for_rollout(kubectl: Kubectl) -> None:
    """Wait until the operator is ready, as its leader is.

    Raises
    ------
    ClusterError
        If it is not within two minutes; the message carries the reasons and the log.
    """
    deadline = time.monotonic() + ROLLOUT_SECONDS
    said = ""
    while True:
        deployment = kubectl.get("deployment", DEPLOYMENT, NAMESPACE)
        done, now = progress_of(deployment) if deployment else (False, "no Deployment")
        if done:
            return
        reasons = waiting_reasons(kubectl.list("pods", NAMESPACE, f"app.kubernetes.io/name={DEPLOYMENT}"))
        now = "; ".join([now, *reasons])
        if now != said:
            print(f"  {now}", file=sys.stderr, flush=True)
            said = now
        if time.monotonic() > deadline:
            raise ClusterError(f"The operator is not ready after {ROLLOUT_SECONDS} s: {now}\n{logs(kubectl)}")
        time.sleep(0.5)


def established(kubectl: Kubectl) -> None:
    """Wait until the API server serves our kinds."""
    names = [
        f"crd/{crd['metadata']['name']}"
        for crd in kubectl.list("customresourcedefinitions")
        if crd["spec"]["group"] == "mlops.eoepca.org"
    ]
    if names:
        kubectl.run("wait", "--for=condition=Established", "--timeout=30s", *names)


def deploy(kubeconfig: Path) -> None:
    """Build and load the operator's images, apply the manifests and wait for the rollout.

    Raises
    ------
    ImageError, ClusterError
        If a step fails.
    """
    kubectl = Kubectl(kubeconfig)
    references = load(build(chosen(["mlops-operator", "mlops-agent"])))
    overlay = overlay_for(references, HERE.clone / "manifests/overlays/local", HERE.state / "deploy")
    with step("apply the operator"):
        kubectl.run(
            "apply",
            f"--kustomize={overlay}",
            "--server-side",
            "--force-conflicts",
            f"--field-manager={FIELD_MANAGER}",
        )
        established(kubectl)
    with step("wait for the operator"):
        wait_for_rollout(kubectl)


def main() -> None:
    """Run the command; an error that the user can act on is one sentence."""
    try:
        deploy(default_kubeconfig())
    except (ImageError, ClusterError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
