"""What a run mounts beside the operator's own: its names never meet, and only its own container gets a token."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_operator.api.trainingrun import TrainingRun, TrainingRunSpec
from mlops_operator.api.wire import BucketHint
from mlops_operator.domain import volumes
from mlops_operator.domain.effects import CheckSecret, WorkspaceReady
from mlops_operator.domain.pod import pod_spec
from mlops_operator.settings import Settings
from tests.unit.domain.world import START

WORKSPACE = WorkspaceReady(START, "ws-datalab", BucketHint(endpoint="http://s3", bucket="ws"), "PEM")


def pod_of(pod: dict[str, Any], **more: Any) -> dict[str, Any]:
    spec = {"image": "x", "command": ["python"], "pod": pod, **more}
    run = TrainingRun.from_object(
        {"metadata": {"name": "r", "namespace": "ws", "uid": "u" * 9}, "spec": spec}
    )
    return pod_spec(run, 1, workspace=WORKSPACE, datasets=(), secrets=(), settings=Settings())


def volume(pod: dict[str, Any], name: str) -> dict[str, Any]:
    return next(v for v in pod["volumes"] if v["name"] == name)


def places(pod: dict[str, Any], container: str) -> dict[str, str]:
    everyone = [*pod["initContainers"], *pod["containers"]]
    mounts = next(c for c in everyone if c["name"] == container)["volumeMounts"]
    return {m["mountPath"]: m["name"] for m in mounts}


@given(
    st.lists(
        st.sampled_from(["bin", "run", "token", "credentials", "scratch", "shm", "user-bin", "x"]),
        unique=True,
    )
)
def test_names_never_meet_those_of_the_operator(names: list[str]) -> None:
    pod = pod_of(
        {
            "volumes": [{"name": name, "emptyDir": {}} for name in names],
            "volumeMounts": [{"name": name, "mountPath": f"/v/{name}"} for name in names],
            "scratch": {"size": "1Gi"},
        }
    )  # fmt: skip
    known = [v["name"] for v in pod["volumes"]]
    assert len(known) == len(set(known))
    train = places(pod, "train")
    assert {train[f"/v/{name}"] for name in names} <= set(known)
    assert {f"user-{name}" for name in names} == {train[f"/v/{name}"] for name in names}
    for container in ("stage-in", "agent"):
        assert not any(path.startswith("/v/") for path in places(pod, container))


@pytest.mark.parametrize(
    ("pod", "size"),
    [({}, str(2**30)), ({"sharedMemory": "64Mi"}, "64Mi"), ({"sharedMemory": 1000}, "1000")],
)
def test_shared_memory(pod: dict[str, Any], size: str) -> None:
    assert volume(pod_of(pod), "shm") == {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": size}}


def test_scratch_on_the_nodes_disk_is_asked_of_the_scheduler() -> None:
    pod = pod_of({"scratch": {"size": "5Gi"}})
    assert volume(pod, "scratch")["emptyDir"] == {"sizeLimit": "5Gi"}
    assert places(pod, "train")["/mlops/scratch"] == "scratch"
    (train,) = pod["containers"]
    assert train["resources"]["requests"]["ephemeral-storage"] == "5Gi"
    assert {"name": "MLOPS_SCRATCH_DIR", "value": "/mlops/scratch"} in train["env"]


def test_scratch_of_a_storage_class_is_a_claim_of_the_pod() -> None:
    pod = pod_of({"scratch": {"size": "5Gi", "storageClassName": "fast", "mountPath": "/scratch"}})
    claim = volume(pod, "scratch")["ephemeral"]["volumeClaimTemplate"]["spec"]
    assert claim["storageClassName"] == "fast"
    assert claim["resources"] == {"requests": {"storage": "5Gi"}}
    assert "ephemeral-storage" not in pod["containers"][0]["resources"]["requests"]
    assert places(pod, "train")["/scratch"] == "scratch"


def test_no_token_of_the_api_server_unless_asked_for() -> None:
    without, named = pod_of({}), pod_of({"serviceAccountName": "trainer"})
    for pod in (without, named):
        assert pod["automountServiceAccountToken"] is False
    assert "serviceAccountName" not in without
    assert volumes.API_TOKEN_DIR not in places(without, "train")
    assert named["serviceAccountName"] == "trainer"
    assert volumes.API_TOKEN_DIR in places(named, "train")
    for container in ("stage-in", "agent"):
        assert volumes.API_TOKEN_DIR not in places(named, container)


def test_secrets_that_must_be_there_are_asked_for_beforehand() -> None:
    spec = TrainingRunSpec.model_validate(
        {
            "image": "x",
            "command": ["python"],
            "pod": {
                "volumes": [
                    {"name": "a", "secret": {"secretName": "keys"}},
                    {"name": "b", "secret": {"secretName": "more", "optional": True}},
                    {"name": "c", "persistentVolumeClaim": {"claimName": "data"}},
                ]
            },
        }
    )
    assert list(volumes.secret_checks(spec, "ws")) == [CheckSecret("ws", "keys")]
    assert volumes.waited_for(spec) == "Secret keys, Secret more, PersistentVolumeClaim data"
