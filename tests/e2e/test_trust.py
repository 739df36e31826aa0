"""A platform with a certificate authority and a proxy of its own: its configuration reaches every container."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from hack.kubectl import Kubectl
from tests.e2e import operator_pod
from tests.e2e.kube import phase
from tests.e2e.private_services import BEHIND, GIT_HOST, TRUSTED_PORT, PrivateServices
from tests.e2e.workspace import TRAIN, resource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hack.services.git import GitService
    from tests.e2e.kube import Kube, Object
    from tests.e2e.workspace import Workspace

pytestmark = pytest.mark.disruptive

# Every client in it is unaware of certificate and proxy; MLflow's own calls go to the sidecar.
CLIENTS = """\
import json, os, pathlib, urllib.request
import mlflow, requests
direct = os.environ["DIRECT"]
seen = {
    "data": pathlib.Path(os.environ["MLOPS_DATASETS_DIR"], "points", "a.csv").read_text(),
    "http": urllib.request.urlopen("http://web.behind-proxy.example/greeting", timeout=20).read().decode(),
    "https": urllib.request.urlopen(direct + "/healthz", timeout=20).status,
    "https through the proxy": requests.get("https://s3.behind-proxy.example:7070/healthz", timeout=20).status_code,
}
with mlflow.start_run():
    mlflow.log_metric("accuracy", 0.5)
pathlib.Path(os.environ["MLOPS_OUTPUT_DIR"], "seen.json").write_text(json.dumps(seen))
model = pathlib.Path(os.environ["MLOPS_MODEL_DIR"])
model.mkdir(parents=True, exist_ok=True)
(model / "model.bin").write_bytes(b"weights" * 1000)
"""
READS = (
    """\
import os, pathlib
assert pathlib.Path(os.environ["MLOPS_DATASETS_DIR"], "points", "a.csv").read_text() == "1,2"
"""
    + TRAIN
)
GONE = {"name": "gone", "uid": "11111111-2222-4333-8444-555555555555"}


@pytest.fixture(scope="module")
def services(kube: Kube, kubeconfig: Path, git: GitService) -> Iterator[PrivateServices]:
    """The services, and the operator configured for them."""
    made = PrivateServices(f"e2e-trust-{secrets.token_hex(3)}", kube, Kubectl(kubeconfig))

    def change(present: Object) -> Object:
        s3 = present["s3"]
        allowed = [*s3["allowedEndpoints"], made.direct, made.behind_proxy, made.distrusted]
        proxy = {"http": made.proxy, "https": made.proxy, "noProxy": [".svc", ".cluster.local"]}
        return present | {
            "caBundle": made.authority.pem, "proxy": proxy, "s3": s3 | {"allowedEndpoints": allowed}
        }  # fmt: skip

    try:
        made.start(urlsplit(git.address).netloc)
        with operator_pod.configured(kube, change):
            made.until_ready()
            yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def workspaces(
    services: PrivateServices, git: GitService, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Workspace]]:
    """One for each address of the S3 server. What they try is under way at once: a refusal takes its minute."""
    trusted = tmp_path_factory.mktemp("trust") / "ca.crt"
    trusted.write_text(services.authority.pem)
    made: dict[str, Workspace] = {}
    try:
        for word, endpoint in (
            ("stranger", services.distrusted), ("behind", services.behind_proxy), ("direct", services.direct)
        ):  # fmt: skip
            made[word] = services.open_workspace(f"ws-{services.name}-{word}", endpoint, trusted)
        begin_with_a_stranger(made["stranger"])
        begin_behind_the_proxy(made["behind"], services, git, tmp_path_factory.mktemp("code"))
        begin_directly(made["direct"])
        yield made
    finally:
        for workspace in made.values():
            services.kube.delete("Namespace", "", workspace.name)
            git.delete_repository("e2e", workspace.name)


def begin_with_a_stranger(workspace: Workspace) -> None:
    workspace.run("distrusts", TRAIN, retry={"limit": 0})
    spec = {"model": "probe", "version": "1", "source": {"trainingRun": GONE}}
    workspace.apply(resource("ModelVersion", "probe.1", spec))


def begin_behind_the_proxy(
    workspace: Workspace, services: PrivateServices, git: GitService, folder: Path
) -> None:
    (folder / "train.py").write_text(CLIENTS)
    git.push_folder(git.create_repository("e2e", workspace.name), folder)
    workspace.dataset("points", {"a.csv": b"1,2"})
    workspace.run(
        "clients",
        source={"git": {"url": f"https://{GIT_HOST}/e2e/{workspace.name}.git", "ref": "main"}},
        env=[{"name": "DIRECT", "value": services.direct}],
        datasets=[{"name": "points"}],
        outputs={"model": {"name": "probe"}},
    )


def begin_directly(workspace: Workspace) -> None:
    workspace.dataset("points", {"a.csv": b"1,2"})
    workspace.run("reader", READS, datasets=[{"name": "points"}], outputs={"model": {"name": "probe"}})


@pytest.fixture
def workspace(request: pytest.FixtureRequest, workspaces: dict[str, Workspace]) -> Workspace:
    return workspaces[request.param]


def holds_everything(workspace: Workspace, run: Object) -> None:
    """The run's files and its model are in the bucket, brought there by pod and operator."""
    workspace.check_files(run)
    version = workspace.until("ModelVersion", "probe.1", lambda v: phase(v) == "Ready")
    assert workspace.read("mlops/models/probe/1/model.bin") == b"weights" * 1000
    assert workspace.read_json(version["status"]["item"])["id"] == f"{workspace.name}.probe.1"


def asked_in_vain(services: PrivateServices) -> set[str]:
    """Requests for what noProxy excepts, and for the pod itself: they have no business with the proxy."""
    return {line for line in services.asked() if any(w in line for w in (".svc", "localhost", "127.0.0.1"))}


@pytest.mark.parametrize("workspace", ["direct"], indirect=True)
def test_a_bucket_with_a_certificate_of_the_platform(workspace: Workspace, services: PrivateServices) -> None:
    holds_everything(workspace, workspace.succeeded("reader"))
    assert not asked_in_vain(services)


@pytest.mark.parametrize("workspace", ["behind"], indirect=True)
def test_bucket_code_and_web_behind_the_proxy(workspace: Workspace, services: PrivateServices) -> None:
    run = workspace.succeeded("clients")
    holds_everything(workspace, run)
    key = next(key for key in workspace.keys(workspace.run_prefix(run)) if key.endswith("seen.json"))
    assert workspace.read_json(key) == {
        "data": "1,2", "http": "through the proxy", "https": 200, "https through the proxy": 200
    }  # fmt: skip
    assert [m["latest"] for m in run["status"]["metrics"] if m["name"] == "accuracy"] == [0.5]
    tunnels = {f"CONNECT s3.{BEHIND}:{TRUSTED_PORT}", f"CONNECT {GIT_HOST}:443"}
    assert {f"GET http://web.{BEHIND}/greeting", *tunnels} <= services.asked()
    assert not asked_in_vain(services)


@pytest.mark.parametrize("workspace", ["stranger"], indirect=True)
def test_a_certificate_that_nobody_vouches_for(workspace: Workspace) -> None:
    said = workspace.failed("distrusts", "StorageUnavailable")["message"]
    assert "certificate is not trusted" in said
    assert "caBundle" in said
    version = workspace.until(
        "ModelVersion", "probe.1", lambda v: v.get("status", {}).get("reason") == "StorageUnavailable", 120
    )
    assert "certificate is not trusted" in version["status"]["message"]
