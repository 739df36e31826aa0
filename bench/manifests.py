"""What the measurements write into the cluster."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from mlops_operator.api.base import (
    API_VERSION,
    LABEL_MANAGED_BY,
    LABEL_OWNER_KIND,
    LABEL_OWNER_NAME,
    LABEL_OWNER_UID,
)

Object = dict[str, Any]

IMAGE = "localhost/python-ml:1"
# No node has it.
NOWHERE = {"bench.mlops.eoepca.org/node": "none"}
# Small, so that neither the node nor a quota decides what is measured.
RESOURCES = {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "512Mi"}}
# The Job controller leaves a Job alone that says that somebody else manages it.
NOT_KUBERNETES = "mlops.eoepca.org/bench"
# Set by the API server, and by the Job controller for the pods.
_SERVER_METADATA = frozenset({"uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"})
_TRACKING = ("batch.kubernetes.io/", "controller-uid", "job-name")


def training_run(name: str, namespace: str, script: str, **spec: Any) -> Object:
    """Make a TrainingRun of an inline script."""
    return {
        "apiVersion": API_VERSION,
        "kind": "TrainingRun",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "image": IMAGE,
            "command": ["python", "train.py"],
            "source": {"inline": {"files": {"train.py": script}}},
            "resources": RESOURCES,
            **spec,
        },
    }


def stuck_run(name: str, namespace: str) -> Object:
    """Make a run whose pod cannot start, of the usual size."""
    return training_run(
        name,
        namespace,
        "import time\n\nfor epoch in range(10):\n    print(epoch)\n    time.sleep(1)\n",
        experiment="burst",
        parameters={"learning_rate": 0.01, "epochs": 10},
        scheduling={"nodeSelector": NOWHERE},
    )


def owner(name: str, namespace: str) -> Object:
    """Make what owns the copied Jobs, so that the garbage collector has as much to do with them."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}}


def bare_copy(job: Mapping[str, Any], name: str, namespace: str, owned_by: Mapping[str, Any]) -> Object:
    """Copy a Job of the operator under another name, of the same size; the operator does not take it for its own."""
    made = _without_what_the_server_set(job)
    made["metadata"] |= {
        "name": name,
        "namespace": namespace,
        "ownerReferences": [_controller(owned_by)],
    }
    for labels in (made["metadata"]["labels"], made["spec"]["template"]["metadata"]["labels"]):
        labels[LABEL_MANAGED_BY] = "bare-loop"
    return made


def finished_job(job: Mapping[str, Any], run: Mapping[str, Any]) -> Object:
    """Copy a Job of the operator for another run; nobody makes a pod of it. Its status is to be written separately."""
    made = _without_what_the_server_set(job)
    metadata = run["metadata"]
    labels = {
        LABEL_OWNER_KIND: run["kind"],
        LABEL_OWNER_NAME: metadata["name"],
        LABEL_OWNER_UID: metadata["uid"],
    }
    made["metadata"] |= {
        "name": f"{metadata['name']}-1",
        "namespace": metadata["namespace"],
        "labels": made["metadata"]["labels"] | labels,
        "ownerReferences": [_controller(run)],
    }
    template = made["spec"]["template"]["metadata"]
    template["labels"] = template["labels"] | labels
    made["spec"]["managedBy"] = NOT_KUBERNETES
    return made


def finished_job_status(started: str, ended: str) -> Object:
    """Make the status of a Job that has completed, as the API server demands it."""
    conditions = [
        {"type": kind, "status": "True", "lastProbeTime": ended, "lastTransitionTime": ended}
        for kind in ("SuccessCriteriaMet", "Complete")
    ]
    return {
        "startTime": started,
        "completionTime": ended,
        "succeeded": 1,
        "ready": 0,
        "terminating": 0,
        "uncountedTerminatedPods": {},
        "conditions": conditions,
    }


def finished_status(status: Mapping[str, Any], job_uid: str) -> Object:
    """Copy the status of a run that has succeeded, for one whose Job has this uid."""
    made: Object = copy.deepcopy(dict(status))
    for attempt in made["attempts"]:
        attempt["jobUID"] = job_uid
    return made


def same_container(job: Mapping[str, Any], name: str, namespace: str, script: str) -> Object:
    """Make a Job of the training container alone: its image, resources and rights, and nothing of ours around it."""
    pod = job["spec"]["template"]["spec"]
    train = next(container for container in pod["containers"] if container["name"] == "train")
    kept = {
        key: train[key]
        for key in ("name", "image", "imagePullPolicy", "resources", "securityContext")
        if key in train
    }
    spec = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pod["securityContext"],
        "containers": [{**kept, "command": ["python", "-c", script]}],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"backoffLimit": 0, "template": {"spec": spec}},
    }


def _without_what_the_server_set(job: Mapping[str, Any]) -> Object:
    made: Object = copy.deepcopy({key: job[key] for key in ("apiVersion", "kind", "metadata", "spec")})
    made["metadata"] = {key: value for key, value in made["metadata"].items() if key not in _SERVER_METADATA}
    made["spec"].pop("selector", None)
    for metadata in (made["metadata"], made["spec"]["template"]["metadata"]):
        labels = metadata.get("labels", {})
        metadata["labels"] = {key: value for key, value in labels.items() if not key.startswith(_TRACKING)}
    made["spec"]["template"]["metadata"].pop("creationTimestamp", None)
    return made


def _controller(obj: Mapping[str, Any]) -> Object:
    return {
        "apiVersion": obj["apiVersion"],
        "kind": obj["kind"],
        "name": obj["metadata"]["name"],
        "uid": obj["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
