"""The pod as a run asks for it: volumes, scheduling, rights; what is refused, and what happens when it is full."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.kube import PATIENCE_SECONDS, condition
from tests.e2e.workspace import RESOURCES, TRAIN, training_run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.kube import Object
    from tests.e2e.workspace import Workspace

# What manifests/overlays/local allows.
ACCOUNT, PRIORITY, RUNTIME, TAINT = "trainer", "mlops-training", "runc", "mlops.eoepca.org/training"

LOOK = """\
import base64, json, os, pathlib

def size(path):
    found = os.statvfs(path)
    return found.f_blocks * found.f_frsize

claims = None
token = pathlib.Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
if token.exists():
    claims = json.loads(base64.urlsafe_b64decode(token.read_text().split(".")[1] + "=="))
facts = {"shm": size("/dev/shm"), "subject": claims and claims["sub"]}
"""
LOOK_AROUND = (
    LOOK
    + """\
shared = pathlib.Path("/shared") / os.environ["HOSTNAME"]
shared.write_text("on the claim")
facts["claim"] = shared.read_text()
shared.unlink()
facts["setting"] = pathlib.Path("/mlops/code/settings/deep/a.txt").read_text()
facts["key"] = pathlib.Path("/keys/key").read_text()
pathlib.Path("/room/x").write_text("x")
scratch = pathlib.Path(os.environ["MLOPS_SCRATCH_DIR"])
(scratch / "x").write_text("x")
facts["scratch"] = str(scratch)
pathlib.Path(os.environ["MLOPS_OUTPUT_DIR"], "facts.json").write_text(json.dumps(facts))
"""
)
AFFINITY = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [
                {"matchExpressions": [{"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]}]}
            ]
        }
    },
    "podAntiAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [
            {
                "labelSelector": {"matchLabels": {"app": "somebody-else"}},
                "topologyKey": "kubernetes.io/hostname",
            }
        ]
    },
}


def facts_of(workspace: Workspace, run: Object) -> Any:
    attempt = run["status"]["attempts"][-1]["number"]
    prefix = f"{workspace.run_prefix(run)}attempts/{attempt}/artifacts/output/"
    return workspace.read_json(prefix + "facts.json")


@pytest.fixture
def claim(workspace: Workspace) -> Iterator[str]:
    """A PersistentVolumeClaim, bound to a volume on the node: a folder that any user may write to."""
    name = workspace.name
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "",
            "claimRef": {"namespace": name, "name": "shared"},
            "hostPath": {"path": "/tmp", "type": "Directory"},  # noqa: S108 - of the node
        },
    }
    bound = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "shared"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "",
            "volumeName": name,
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    workspace.kube.kubectl("apply", "-f", "-", input=json.dumps(volume), check=True)
    workspace.apply(bound)
    yield "shared"
    workspace.kube.kubectl("delete", "persistentvolume", name, "--wait=false", check=True)


def _objects(workspace: Workspace) -> list[Object]:
    login = base64.b64encode(b"alice:secret").decode()
    registry = json.dumps({"auths": {"registry.example.org": {"auth": login}}})
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT}},
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "settings"},
            "data": {"a": "from a ConfigMap"},
        },
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"key": "opened"}},
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/dockerconfigjson",
            "metadata": {"name": "registry"},
            "stringData": {".dockerconfigjson": registry},
        },
    ]


def test_the_pod_is_as_the_run_asks(workspace: Workspace, claim: str) -> None:
    """One run that asks for everything: what Kubernetes made of it, and what the training sees."""
    workspace.apply(*_objects(workspace))
    items = [{"key": "a", "path": "deep/a.txt"}]
    workspace.run(
        "whole",
        LOOK_AROUND,
        scheduling={
            "affinity": AFFINITY,
            "priorityClassName": PRIORITY,
            "runtimeClassName": RUNTIME,
            "tolerations": [{"key": TAINT, "operator": "Exists"}],
        },
        pod={
            "serviceAccountName": ACCOUNT,
            "imagePullSecrets": [{"name": "registry"}],
            "volumes": [
                {"name": "shared", "persistentVolumeClaim": {"claimName": claim}},
                {"name": "settings", "configMap": {"name": "settings", "items": items}},
                {"name": "keys", "secret": {"secretName": "keys"}},
                {"name": "room", "emptyDir": {"sizeLimit": "64Mi"}},
            ],
            "volumeMounts": [
                {"name": "shared", "mountPath": "/shared"},
                {"name": "settings", "mountPath": "/mlops/code/settings"},
                {"name": "keys", "mountPath": "/keys", "readOnly": True},
                {"name": "room", "mountPath": "/room"},
            ],
            "sharedMemory": "48Mi",
            "scratch": {"size": "64Mi"},
        },
    )
    run = workspace.succeeded("whole")
    assert facts_of(workspace, run) == {
        "shm": 48 * 2**20,
        "subject": f"system:serviceaccount:{workspace.name}:{ACCOUNT}",
        "claim": "on the claim",
        "setting": "from a ConfigMap",
        "key": "opened",
        "scratch": "/mlops/scratch",
    }
    pod = workspace.pods("whole")[-1]
    spec = pod["spec"]
    assert spec["affinity"] == AFFINITY
    assert (spec["priorityClassName"], spec["priority"]) == (PRIORITY, 1000)
    assert spec["runtimeClassName"] == RUNTIME
    assert spec["serviceAccountName"] == ACCOUNT
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    assert {"key": TAINT, "operator": "Exists"} in spec["tolerations"]
    for container in spec["initContainers"]:
        paths = [mount["mountPath"] for mount in container["volumeMounts"]]
        assert not any(path.startswith(("/var/run/secrets", "/shared", "/keys")) for path in paths)


@pytest.mark.produces(
    "TolerationNotAllowed",
    "ServiceAccountNotAllowed",
    "PriorityClassNotAllowed",
    "RuntimeClassNotAllowed",
    "VolumeNotAllowed",
    "VolumeNotThere",
    "MountsCollide",
    "SharedMemoryAboveLimit",
)
def test_what_is_not_allowed_is_refused_by_name(workspace: Workspace) -> None:
    asked: dict[str, tuple[Object, str]] = {
        "TolerationNotAllowed": ({"scheduling": {"tolerations": [{"key": "master"}]}}, TAINT),
        "ServiceAccountNotAllowed": ({"pod": {"serviceAccountName": "admin"}}, ACCOUNT),
        "PriorityClassNotAllowed": ({"scheduling": {"priorityClassName": "system-node-critical"}}, PRIORITY),
        "RuntimeClassNotAllowed": ({"scheduling": {"runtimeClassName": "kata"}}, RUNTIME),
        "VolumeNotAllowed": (
            {"pod": {"volumes": [{"name": "nas", "nfs": {"server": "nas", "path": "/export"}}]}},
            "persistentVolumeClaim",
        ),
        "VolumeNotThere": (
            {
                "pod": {
                    "volumes": [{"name": "room", "emptyDir": {}}],
                    "volumeMounts": [{"name": "rooms", "mountPath": "/r"}],
                }
            },
            "there are: room",
        ),
        "MountsCollide": (
            {
                "pod": {"scratch": {"size": "1Gi", "mountPath": "/data/tmp"}},
                "datasets": [{"name": "wine", "mountPath": "/data"}],
            },
            "dataset wine",
        ),
        "SharedMemoryAboveLimit": ({"pod": {"sharedMemory": "4Gi"}}, "memory limit of 512Mi"),
    }
    workspace.apply(*(training_run(reason.lower(), TRAIN, **more) for reason, (more, _) in asked.items()))
    for reason, (_, says) in asked.items():
        message = workspace.waits_for(reason.lower(), reason)
        assert says in message, message
        run = workspace.get("TrainingRun", reason.lower())
        assert run is not None
        assert condition(run, "Accepted")["status"] == "False"
    assert workspace.kube.list("Job", workspace.name) == []


def _fill(path: str) -> str:
    """Write 64 MiB to a folder, then wait for what comes."""
    return (
        f"import time\nopen('{path}/big', 'wb').write(bytes(64 << 20))\ntime.sleep({2 * PATIENCE_SECONDS})\n"
    )


@pytest.mark.produces("DiskLimitExceeded")
def test_scratch_that_fills(workspace: Workspace) -> None:
    """The kubelet looks once a minute; the run is told its limit, and is not tried again."""
    workspace.run("full", _fill("/mlops/scratch"), pod={"scratch": {"size": "16Mi"}})
    failure = workspace.failed("full", "DiskLimitExceeded")
    assert failure["side"] == "User"
    assert 'EmptyDir volume "scratch" exceeds the limit "16Mi"' in failure["message"]
    assert "spec.pod.scratch.size" in failure["message"]


def test_shared_memory_that_fills(workspace: Workspace) -> None:
    """Without a ServiceAccount there is no token; /dev/shm has the size that was asked for, and says so when full."""
    script = LOOK + "assert facts == {'shm': 16 << 20, 'subject': None}, facts\n" + _fill("/dev/shm")  # noqa: S108 - in the pod
    workspace.run("small", script, pod={"sharedMemory": "16Mi"})
    failure = workspace.failed("small", "UserError")
    assert "No space left on device" in failure["logTail"]
    assert "spec.pod.sharedMemory" in failure["message"]


def test_datasets_that_do_not_fit(workspace: Workspace) -> None:
    """It is told before anything is downloaded, with both numbers."""
    workspace.dataset("large", {"a.bin": bytes(12 << 20), "b.bin": bytes(12 << 20)})
    limits = {**RESOURCES["limits"], "ephemeral-storage": "16Mi"}
    workspace.run("tight", TRAIN, datasets=[{"name": "large"}], resources={**RESOURCES, "limits": limits})
    failure = workspace.failed("tight", "DiskLimitExceeded")
    assert (failure["container"], failure["side"]) == ("stage-in", "User")
    assert (
        f"{24 << 20} bytes (large: {24 << 20}), and the pod may write {16 << 20} bytes" in failure["message"]
    )


def _mounting(**volume: Any) -> Object:
    return {
        "volumes": [{"name": "v", **volume}],
        "volumeMounts": [{"name": "v", "mountPath": "/v", "readOnly": True}],
    }


def test_what_is_missing_is_waited_for(workspace: Workspace) -> None:
    """In Kubernetes' own words, and the run goes on once it is there."""
    workspace.run("account", pod={"serviceAccountName": ACCOUNT})
    workspace.run("claim", pod=_mounting(persistentVolumeClaim={"claimName": "nowhere"}))
    workspace.run("key", pod=_mounting(secret={"secretName": "later"}))
    assert f'serviceaccount "{ACCOUNT}" not found' in workspace.waits_for("account", "PodRefused")
    assert '"nowhere" not found' in workspace.waits_for("claim", "Unschedulable")
    assert "later" in workspace.waits_for("key", "SecretMissing")
    workspace.apply(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "later"}, "stringData": {"a": "b"}}
    )
    workspace.succeeded("key")
