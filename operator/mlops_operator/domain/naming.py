"""Names and labels of what the operator makes."""

from __future__ import annotations

import hashlib
import re

from mlops_operator.api.base import (
    API_VERSION,
    LABEL_ATTEMPT,
    LABEL_MANAGED_BY,
    LABEL_OWNER_KIND,
    LABEL_OWNER_NAME,
    LABEL_OWNER_UID,
    ObjectMeta,
)

MAX_LABEL = 63


def shorten(name: str, limit: int = MAX_LABEL) -> str:
    """Cut a name that is too long and end it with its digest, so that two long names stay two."""
    if len(name) <= limit:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: limit - 9].rstrip('-.')}-{digest}"


def job_name(run: str, attempt: int) -> str:
    """``<run>-<attempt>``."""
    suffix = f"-{attempt}"
    return shorten(run, MAX_LABEL - len(suffix)) + suffix


def service_name(job: str) -> str:
    """Give the name of a Job's Service: the Job's, but a Service's name begins with a letter."""
    return job if job[:1].isalpha() else shorten(f"w{job}")


def snapshot_job_name(dataset: str, number: int) -> str:
    """``<dataset>-snapshot-<number>``."""
    suffix = f"-snapshot-{number}"
    return shorten(dataset, MAX_LABEL - len(suffix)) + suffix


def model_version_name(model: str, version: str) -> str:
    """``<model>.<version>``: of the ModelVersion that a run makes."""
    return f"{model}.{version}"


def parameter_variable(name: str) -> str:
    """``PARAM_<NAME>``: upper case, everything but letters and digits as an underscore."""
    return "PARAM_" + re.sub(r"[^A-Z0-9]", "_", name.upper())


def dataset_manifest_key(name: str, version: str) -> str:
    """Key of a dataset version's manifest in the workspace's bucket (design, section 7)."""
    return f"mlops/datasets/{name}/versions/{version}.json"


def owner_labels(kind: str, owner: ObjectMeta, number: int) -> dict[str, str]:
    """Labels of a Job and its pods: by them they are found, and a pod's reports are matched with its owner."""
    return {
        LABEL_MANAGED_BY: "mlops-operator",
        LABEL_OWNER_KIND: kind,
        LABEL_OWNER_NAME: shorten(owner.name),
        LABEL_OWNER_UID: owner.uid,
        LABEL_ATTEMPT: str(number),
    }


def owner_reference(kind: str, owner: ObjectMeta) -> dict[str, object]:
    """So that Kubernetes deletes the Job and its pods with their owner."""
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }
