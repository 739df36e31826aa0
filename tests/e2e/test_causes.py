"""Every cause by which a run fails, produced for real, with the message that its user sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.workspace import RESOURCES, TRAIN, UNTIL_TOLD

if TYPE_CHECKING:
    from hack.services.git import GitService
    from hack.services.s3 import S3Service
    from tests.e2e.workspace import Workspace

FOREVER = "import time\nprint('started', flush=True)\ntime.sleep(600)\n"
# How the platform's failures are tried again: see test_attempts.
ONCE = {"limit": 0}
MODEL = {"model": {"name": "some-model", "register": "Never"}}


@pytest.mark.produces("UserError")
def test_user_error(workspace: Workspace) -> None:
    workspace.run(
        "wrong",
        "import sys\nopen('/mlops/output/partial.txt', 'w').write('kept')\nsys.exit('no such column: age')\n",
    )
    failure = workspace.failed("wrong", "UserError")
    assert failure["side"] == "User"
    assert failure["exitCode"] == 1
    assert "no such column: age" in failure["logTail"]
    run = workspace.get("TrainingRun", "wrong")
    assert run is not None
    assert len(run["status"]["attempts"]) == 1, "a user's error is not tried again unless asked"
    keys = workspace.keys(workspace.run_prefix(run))
    assert any(key.endswith("partial.txt") for key in keys), keys
    assert f"{workspace.run_prefix(run)}manifest.json" not in keys


def test_command_not_found(workspace: Workspace) -> None:
    workspace.run("typo", command=["pyhton", "train.py"])
    failure = workspace.failed("typo", "UserError")
    assert failure["exitCode"] == 127
    assert "pyhton" in failure["logTail"] + failure["message"]


@pytest.mark.produces("OOMKilled")
def test_oom_killed(workspace: Workspace) -> None:
    limits = {"requests": RESOURCES["requests"], "limits": {"cpu": "1", "memory": "96Mi"}}
    workspace.run("hungry", "x = []\nwhile True: x.append(bytearray(10_000_000))\n", resources=limits)
    failure = workspace.failed("hungry", "OOMKilled")
    assert "96Mi" in failure["message"]


@pytest.mark.produces("DeadlineExceeded")
def test_deadline_exceeded(workspace: Workspace) -> None:
    workspace.run("slow", FOREVER, deadlineSeconds=2)
    failure = workspace.failed("slow", "DeadlineExceeded")
    assert "2 s" in failure["message"]


@pytest.mark.produces("NoModelProduced")
def test_no_model_produced(workspace: Workspace) -> None:
    workspace.run("empty", "open('/mlops/output/other.txt', 'w').write('x')\n", outputs=MODEL)
    failure = workspace.failed("empty", "NoModelProduced")
    assert "other.txt" in failure["message"]


@pytest.mark.produces("UploadFailed")
def test_upload_failed(workspace: Workspace) -> None:
    script = (
        TRAIN
        + "\nopen('/mlops/output/closed.txt', 'w').write('x')\nos.chmod('/mlops/output/closed.txt', 0)\n"
    )
    workspace.run("closed", script, outputs=MODEL)
    failure = workspace.failed("closed", "UploadFailed")
    assert "closed.txt" in failure["message"]


@pytest.mark.produces("SourceNotFound")
def test_source_not_found(workspace: Workspace, git: GitService) -> None:
    url = git.create_repository("e2e", workspace.name)
    workspace.run("no-ref", source={"git": {"url": url, "ref": "no-such-branch"}})
    failure = workspace.failed("no-ref", "SourceNotFound")
    assert "no-such-branch" in failure["message"]
    workspace.run("no-repo", source={"git": {"url": url.replace(workspace.name, "nowhere"), "ref": "main"}})
    assert "nowhere" in workspace.failed("no-repo", "SourceNotFound")["message"]


@pytest.mark.produces("DatasetChanged")
def test_dataset_changed(workspace: Workspace) -> None:
    workspace.dataset("moving", {"a.csv": b"1,2,3", "b.csv": b"4,5,6"})
    workspace.until_dataset_ready("moving")
    workspace.put("data/moving/b.csv", b"4,5,7")
    workspace.run("stale", datasets=[{"name": "moving"}])
    failure = workspace.failed("stale", "DatasetChanged")
    assert "b.csv" in failure["message"]


def _foreign_dataset(workspace: Workspace) -> dict[str, str]:
    """A dataset read with a Secret of its own; gives the Secret's content."""
    import base64  # noqa: PLC0415

    own = workspace.get("Secret", f"{workspace.name}-datalab")
    assert own is not None
    content = {key: base64.b64decode(value).decode() for key, value in own["data"].items()}
    workspace.apply(_secret(content))
    workspace.put("data/far/a.csv", b"1,2,3")
    source = {"s3": {"uri": f"s3://{workspace.name}/data/far/", "credentialsSecretRef": {"name": "far"}}}
    workspace.apply(
        {
            "apiVersion": "mlops.eoepca.org/v1alpha1",
            "kind": "TrainingDataset",
            "metadata": {"name": "far"},
            "spec": {"version": "1", "source": source},
        }
    )
    workspace.until_dataset_ready("far")
    return content


def _secret(content: dict[str, str]) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "far"}, "stringData": content}


@pytest.mark.produces("StorageDenied", kind="Ending")
def test_storage_denied(workspace: Workspace) -> None:
    content = _foreign_dataset(workspace)
    workspace.apply(_secret({**content, "AWS_SECRET_ACCESS_KEY": "no-longer-valid-at-all"}))
    workspace.run("denied", datasets=[{"name": "far"}], retry={"limit": 1, "backoffSeconds": 1})
    failure = workspace.failed("denied", "StorageDenied")
    assert "It was tried 2 times (spec.retry.limit: 1)." in failure["message"]
    ended = workspace.get("TrainingRun", "denied") or {}
    attempts = [(a["number"], a["cause"], a["counted"]) for a in ended["status"]["attempts"]]
    assert attempts == [(1, "StorageDenied", True), (2, "StorageDenied", True)]
    assert "no-longer-valid-at-all" not in failure["message"]
    assert failure["side"] == "Platform"


@pytest.mark.produces("StorageUnavailable", kind="Ending")
def test_storage_unavailable(workspace: Workspace) -> None:
    content = _foreign_dataset(workspace)
    workspace.apply(_secret({**content, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}))
    workspace.run("unreachable", datasets=[{"name": "far"}], retry=ONCE)
    assert "127.0.0.1:9" in workspace.failed("unreachable", "StorageUnavailable")["message"]


@pytest.mark.produces("StorageFull")
@pytest.mark.produces("StorageUnavailable", kind="Waiting")
def test_storage_full_then_gone(small_workspace: Workspace, small_s3: S3Service) -> None:
    """The bucket lies on 24 MiB; the training writes more. Then the server goes, and with it the next run's pod."""
    small_workspace.run("dark", UNTIL_TOLD)
    script = TRAIN + "\nopen('/mlops/output/big.bin', 'wb').write(os.urandom(40_000_000))\n"
    small_workspace.run("big", script, outputs=MODEL)
    assert "space" in small_workspace.failed("big", "StorageFull")["message"]
    small_workspace.until_phase("dark", "Running")
    small_s3.scale(0)
    try:
        small_workspace.end_and_lose_the_pod("dark")
        message = small_workspace.waits_for("dark", "StorageUnavailable")
        assert "is looked at again" in message
        small_workspace.kube.patch("TrainingRun", small_workspace.name, "dark", {"spec": {"cancel": True}})
        small_workspace.until_ended("dark")
    finally:
        small_s3.scale(1)


def test_tenants_do_not_see_each_other(workspace: Workspace, s3: S3Service) -> None:
    """A dataset that names another workspace's bucket is refused by S3, since only one's own keys are used."""
    other = f"{workspace.name}-b"
    credentials = s3.create_workspace_bucket(other)
    s3.client(credentials).put_object(Bucket=other, Key="private/a.txt", Body=b"secret")
    try:
        source = {"s3": {"uri": f"s3://{other}/private/"}}
        workspace.apply(
            {
                "apiVersion": "mlops.eoepca.org/v1alpha1",
                "kind": "TrainingDataset",
                "metadata": {"name": "theirs"},
                "spec": {"version": "1", "source": source},
            }
        )
        seen = workspace.until(
            "TrainingDataset", "theirs", lambda d: d.get("status", {}).get("phase") == "Failed", timeout=90
        )
        assert seen["status"]["reason"] == "StorageDenied", seen["status"]
    finally:
        s3.delete_bucket(other)
