"""Volumes that a run names: its own ones, the scratch folder, /dev/shm, and the token of a named ServiceAccount."""

from __future__ import annotations

from collections.abc import Iterator

from mlops_operator.api.pods import Scratch
from mlops_operator.api.trainingrun import TrainingRunSpec
from mlops_operator.domain.effects import CheckSecret
from mlops_operator.domain.plan import Object
from mlops_operator.domain.resources import shared_memory

# What the kubelet mounts into a container that may speak to the API server.
API_TOKEN_DIR = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a path
API_TOKEN_SECONDS = 3607
# Of the names of the run's own volumes in the pod: so none is one of the operator's.
OWN_PREFIX = "user-"


def _own(name: str) -> str:
    """Give a volume's name in the pod."""
    return f"{OWN_PREFIX}{name}"


def volumes(spec: TrainingRunSpec, memory_limit: str | None) -> list[Object]:
    """Give the pod's volumes.

    Parameters
    ----------
    memory_limit
        Of the training container: /dev/shm takes half of it where the run names no size.
    """
    found: list[Object] = [{**volume.to_object(), "name": _own(volume.name)} for volume in spec.pod.volumes]
    shm: Object = {"medium": "Memory"}
    size = spec.pod.shared_memory
    if chosen := (str(size) if size is not None else shared_memory(memory_limit)):
        shm["sizeLimit"] = chosen
    found.append({"name": "shm", "emptyDir": shm})
    found += [_scratch(spec.pod.scratch)] if spec.pod.scratch is not None else []
    found += [_api_token()] if spec.pod.service_account_name is not None else []
    return found


def _scratch(scratch: Scratch) -> Object:
    size = str(scratch.size)
    if scratch.storage_class_name is None:
        return {"name": "scratch", "emptyDir": {"sizeLimit": size}}
    claim = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": scratch.storage_class_name,
        "resources": {"requests": {"storage": size}},
    }
    return {"name": "scratch", "ephemeral": {"volumeClaimTemplate": {"spec": claim}}}


def _api_token() -> Object:
    """As the API server itself would add it, but for one container of the pod: the agent's containers get none."""
    namespace = {"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}
    return {
        "name": "api-token",
        "projected": {
            "sources": [
                {"serviceAccountToken": {"path": "token", "expirationSeconds": API_TOKEN_SECONDS}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [namespace]}},
            ]
        },
    }


def mounts(spec: TrainingRunSpec) -> list[Object]:
    """Where the training container has them."""
    found: list[Object] = [{"name": "shm", "mountPath": "/dev/shm"}]  # noqa: S108 - a path in the container
    if spec.pod.service_account_name is not None:
        found.append({"name": "api-token", "mountPath": API_TOKEN_DIR, "readOnly": True})
    return [*found, *storage_mounts(spec)]


def storage_mounts(spec: TrainingRunSpec) -> list[Object]:
    """Give those of them that hold files of the user."""
    found: list[Object] = [{**m.to_object(), "name": _own(m.name)} for m in spec.pod.volume_mounts]
    if spec.pod.scratch is not None:
        found.append({"name": "scratch", "mountPath": spec.pod.scratch.mount_path})
    return found


def secret_checks(spec: TrainingRunSpec, namespace: str) -> Iterator[CheckSecret]:
    """Give the Secrets without which the kubelet would wait and say nothing."""
    for volume in spec.pod.volumes:
        if volume.secret is not None and not volume.secret.optional:
            yield CheckSecret(namespace, volume.secret.secret_name)


def waited_for(spec: TrainingRunSpec) -> str:
    """Name what the run itself mounts, for the message about a pod whose volumes are late."""
    names = []
    for volume in spec.pod.volumes:
        if volume.config_map is not None:
            names.append(f"ConfigMap {volume.config_map.name}")
        if volume.secret is not None:
            names.append(f"Secret {volume.secret.secret_name}")
        if volume.persistent_volume_claim is not None:
            names.append(f"PersistentVolumeClaim {volume.persistent_volume_claim.claim_name}")
    return ", ".join(names)
