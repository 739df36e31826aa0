from __future__ import annotations

import copy
from typing import Any

from bench.manifests import (
    NOT_KUBERNETES,
    bare_copy,
    finished_job,
    finished_job_status,
    finished_status,
    same_container,
    stuck_run,
    training_run,
)
from mlops_operator.api.base import LABEL_MANAGED_BY, LABEL_OWNER_NAME, LABEL_OWNER_UID
from mlops_operator.api.trainingrun import TrainingRun
from mlops_operator.controller.views import job_view

OWNER = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner", "uid": "u-owner"}}
RUN = {
    "apiVersion": "mlops.eoepca.org/v1alpha1",
    "kind": "TrainingRun",
    "metadata": {"name": "finished-00001", "namespace": "there", "uid": "u-run"},
}
JOB: dict[str, Any] = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {
        "name": "template-1",
        "namespace": "here",
        "uid": "u-job",
        "resourceVersion": "7",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "generation": 1,
        "managedFields": [{}],
        "labels": {
            LABEL_MANAGED_BY: "mlops-operator",
            LABEL_OWNER_NAME: "template",
            LABEL_OWNER_UID: "u-template",
        },
        "ownerReferences": [{"uid": "u-template"}],
    },
    "spec": {
        "backoffLimit": 0,
        "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "u-job"}},
        "template": {
            "metadata": {
                "creationTimestamp": None,
                "labels": {
                    LABEL_MANAGED_BY: "mlops-operator",
                    LABEL_OWNER_NAME: "template",
                    LABEL_OWNER_UID: "u-template",
                    "batch.kubernetes.io/controller-uid": "u-job",
                    "controller-uid": "u-job",
                    "job-name": "template-1",
                },
            },
            "spec": {
                "securityContext": {"runAsUser": 1000},
                "initContainers": [{"name": "agent"}],
                "containers": [
                    {
                        "name": "train",
                        "image": "image:1",
                        "command": ["/mlops/bin/entrypoint"],
                        "env": [{"name": "A"}],
                        "resources": {"limits": {"cpu": "1"}},
                        "securityContext": {"allowPrivilegeEscalation": False},
                        "volumeMounts": [{"name": "bin"}],
                    }
                ],
                "volumes": [{"name": "bin"}],
            },
        },
    },
    "status": {"active": 1},
}


def test_runs_can_be_read() -> None:
    run = stuck_run("run-00001", "here")
    assert TrainingRun.model_validate(run).spec.scheduling.node_selector
    assert (
        TrainingRun.model_validate(training_run("a", "b", "print()", deadlineSeconds=5)).spec.deadline_seconds
        == 5
    )


def test_a_bare_copy_is_the_same_job_and_not_the_operators() -> None:
    before = copy.deepcopy(JOB)
    made = bare_copy(JOB, "run-00001-1", "there", OWNER)
    assert before == JOB
    assert made["spec"]["template"]["spec"] == JOB["spec"]["template"]["spec"]
    assert (made["metadata"]["name"], made["metadata"]["namespace"]) == ("run-00001-1", "there")
    assert [reference["uid"] for reference in made["metadata"]["ownerReferences"]] == ["u-owner"]
    for metadata in (made["metadata"], made["spec"]["template"]["metadata"]):
        assert metadata["labels"][LABEL_MANAGED_BY] != "mlops-operator"
        assert not any(
            label.startswith(("batch.kubernetes.io/", "controller-uid", "job-name"))
            for label in metadata["labels"]
        )
    assert not {"uid", "resourceVersion", "managedFields"} & made["metadata"].keys()
    assert "selector" not in made["spec"]
    assert "status" not in made


def test_a_finished_job_is_the_runs_and_nobody_makes_pods_of_it() -> None:
    made = finished_job(JOB, RUN)
    assert made["spec"]["managedBy"] == NOT_KUBERNETES
    seen = job_view(
        made
        | {
            "metadata": made["metadata"] | {"uid": "u-new"},
            "status": finished_job_status("2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"),
        }
    )
    assert seen.name == "finished-00001-1"
    assert seen.owner_uid == "u-run"
    assert seen.complete
    assert seen.finished_at is not None


def test_a_finished_status_names_its_own_job() -> None:
    status = {"phase": "Succeeded", "attempts": [{"number": 1, "jobUID": "u-job"}]}
    made = finished_status(status, "u-new")
    assert made == {"phase": "Succeeded", "attempts": [{"number": 1, "jobUID": "u-new"}]}
    assert status["attempts"] == [{"number": 1, "jobUID": "u-job"}]


def test_the_same_container_has_nothing_of_ours_around_it() -> None:
    pod = same_container(JOB, "bare", "there", "print()")["spec"]["template"]["spec"]
    assert "initContainers" not in pod
    assert "volumes" not in pod
    (container,) = pod["containers"]
    assert container == {
        "name": "train",
        "image": "image:1",
        "resources": {"limits": {"cpu": "1"}},
        "securityContext": {"allowPrivilegeEscalation": False},
        "command": ["python", "-c", "print()"],
    }
