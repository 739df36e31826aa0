"""What a run may ask of its pod, under which reason it is refused, and that the message names what is allowed."""

from __future__ import annotations

from typing import Any

import pytest

from mlops_operator.api.trainingrun import TrainingRunSpec
from mlops_operator.domain.admission import Refusal, refusals
from mlops_operator.settings import Settings

SETTINGS = Settings.model_validate(
    {
        "allowed_toleration_keys": ["spot"],
        "allowed_service_accounts": ["default", "trainer"],
        "allowed_priority_classes": ["training"],
        "allowed_runtime_classes": ["nvidia"],
        "allowed_volume_kinds": ["configMap", "emptyDir"],
    }
)
ROOM: dict[str, Any] = {"name": "room", "emptyDir": {}}


def found(pod: dict[str, Any], settings: Settings = SETTINGS, **more: Any) -> list[Refusal]:
    spec = TrainingRunSpec.model_validate({"image": "x", "command": ["python"], "pod": pod, **more})
    return list(refusals(spec, settings))


@pytest.mark.parametrize(
    ("pod", "scheduling", "reason", "said"),
    [
        ({}, {"tolerations": [{"key": "gpu"}]}, "TolerationNotAllowed", "allowed keys: spot."),
        ({"serviceAccountName": "admin"}, {}, "ServiceAccountNotAllowed", "'admin' is not allowed here; allowed: default, trainer."),
        ({}, {"priorityClassName": "urgent"}, "PriorityClassNotAllowed", "allowed: training."),
        ({}, {"runtimeClassName": "kata"}, "RuntimeClassNotAllowed", "allowed: nvidia."),
        ({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]}, {}, "VolumeNotAllowed", "volumes[v]: volumes of kind persistentVolumeClaim"),
        ({"volumes": [ROOM], "volumeMounts": [{"name": "rooms", "mountPath": "/r"}]}, {}, "VolumeNotThere", "no volume 'rooms' in spec.pod.volumes; there are: room."),
        ({"sharedMemory": "3Gi"}, {}, "SharedMemoryAboveLimit", "3Gi is more than the memory limit of 2Gi"),
        ({"scratch": {"size": "0"}}, {}, "BadQuantity", "spec.pod.scratch.size: '0'"),
    ],
)  # fmt: skip
def test_refused(pod: dict[str, Any], scheduling: dict[str, Any], reason: str, said: str) -> None:
    (refusal,) = found(pod, scheduling=scheduling)
    assert refusal.reason == reason
    assert said in refusal.message


@pytest.mark.parametrize(
    ("mounts", "scratch"),
    [
        (["/data"], None),
        (["/data/wine"], None),
        (["/mlops/datasets/more"], None),
        (["/x"], "/x"),
        (["/var/run/secrets/kubernetes.io"], None),
    ],
)
def test_mounts_that_hide_one_another(mounts: list[str], scratch: str | None) -> None:
    pod: dict[str, Any] = {
        "serviceAccountName": "default",
        "volumes": [ROOM],
        "volumeMounts": [{"name": "room", "mountPath": path} for path in mounts],
    }
    if scratch:
        pod["scratch"] = {"size": "1Gi", "mountPath": scratch}
    datasets = [{"name": "wine", "mountPath": "/data"}, {"name": "more"}]
    assert [refusal.reason for refusal in found(pod, datasets=datasets)] == ["MountsCollide"]


def test_a_whole_pod_is_accepted() -> None:
    pod = {
        "serviceAccountName": "trainer",
        "volumes": [ROOM, {"name": "c", "configMap": {"name": "c"}}],
        "volumeMounts": [
            {"name": "room", "mountPath": "/room"},
            {"name": "c", "mountPath": "/room/settings"},
        ],
        "sharedMemory": "2Gi",
        "scratch": {"size": "1Gi"},
    }
    scheduling = {"priorityClassName": "training", "runtimeClassName": "nvidia"}
    assert (
        found(pod, scheduling=scheduling, datasets=[{"name": "wine", "mountPath": "/mlops/code/wine"}]) == []
    )


def test_nothing_is_allowed_beyond_the_workspace_by_default() -> None:
    """The default ServiceAccount and volumes of the own namespace; no class of the cluster."""
    kinds = [
        {"name": "a", "configMap": {"name": "a"}},
        {"name": "b", "secret": {"secretName": "b"}},
        {"name": "c", "persistentVolumeClaim": {"claimName": "c"}},
        ROOM,
    ]
    assert found({"serviceAccountName": "default", "volumes": kinds}, Settings()) == []
    nfs = {"name": "v", "nfs": {"server": "nas.example.org", "path": "/export"}}
    assert [r.reason for r in found({"volumes": [nfs]}, Settings())] == ["VolumeNotAllowed"]
    scheduling = {"priorityClassName": "training", "runtimeClassName": "nvidia"}
    assert [r.message.rsplit(" ", 1)[1] for r in found({}, Settings(), scheduling=scheduling)] == [
        "none.",
        "none.",
    ]
