"""Objects as the API server gives them, for the tests beside this module."""

from __future__ import annotations

from typing import Any

from mlops_operator.api.base import LABEL_MANAGED_BY, LABEL_OWNER_KIND, LABEL_OWNER_NAME, LABEL_OWNER_UID
from mlops_operator.controller.store import Parent, slim_parent

Object = dict[str, Any]


def run(
    name: str = "wine",
    *,
    version: int = 1,
    uid: str = "uid-wine",
    namespace: str = "ws-a",
    status: Object | None = None,
    datasets: tuple[str, ...] = (),
    generation: int = 1,
) -> Object:
    return {
        "apiVersion": "mlops.eoepca.org/v1alpha1",
        "kind": "TrainingRun",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": uid,
            "resourceVersion": str(version),
            "generation": generation,
            "managedFields": [{"manager": "kubectl"}],
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "note": "kept"},
        },
        "spec": {
            "image": "python-ml:1",
            "command": ["python"],
            "datasets": [{"name": dataset} for dataset in datasets],
        },
        "status": status or {},
    }


def parent(**changes: Any) -> Parent:
    return slim_parent("TrainingRun", run(**changes))


def _child(  # noqa: PLR0917 - private
    kind: str, name: str, uid: str, version: int, owner: str, owner_uid: str, namespace: str
) -> Object:
    return {
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": uid,
            "resourceVersion": str(version),
            "creationTimestamp": "2026-11-21T12:00:00Z",
            "labels": {
                LABEL_MANAGED_BY: "mlops-operator",
                LABEL_OWNER_KIND: "TrainingRun",
                LABEL_OWNER_NAME: owner,
                LABEL_OWNER_UID: owner_uid,
            },
            "ownerReferences": [{"uid": owner_uid, "controller": True}],
        },
    }


def job(
    name: str = "wine-1",
    *,
    uid: str = "uid-job",
    version: int = 10,
    owner: str = "wine",
    owner_uid: str = "uid-wine",
    namespace: str = "ws-a",
    conditions: tuple[str, ...] = (),
) -> Object:
    body = _child("Job", name, uid, version, owner, owner_uid, namespace)
    body["status"] = {"conditions": [{"type": condition, "status": "True"} for condition in conditions]}
    return body


def pod(
    name: str = "wine-1-abc",
    *,
    uid: str = "uid-pod",
    version: int = 20,
    owner: str = "wine",
    owner_uid: str = "uid-wine",
    namespace: str = "ws-a",
    phase: str = "Running",
) -> Object:
    body = _child("Pod", name, uid, version, owner, owner_uid, namespace)
    body["metadata"]["labels"]["batch.kubernetes.io/job-name"] = "wine-1"
    body["spec"] = {"nodeName": "node-1"}
    body["status"] = {
        "phase": phase,
        "containerStatuses": [{"name": "train", "restartCount": 0, "state": {"running": {}}}],
    }
    return body
