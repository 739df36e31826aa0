"""Why a run waits, said so that its user can act; and that it goes on as soon as the reason is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.kube import condition
from tests.e2e.workspace import TRAIN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.workspace import Workspace

GPU = "example.org/e2e-gpu"


@pytest.mark.produces("ImagePull")
def test_image_pull(workspace: Workspace) -> None:
    workspace.run("no-image", image="localhost/there-is-no-such-image:1")
    message = workspace.waits_for("no-image", "ImagePull")
    assert "localhost/there-is-no-such-image:1" in message


@pytest.mark.produces("Unschedulable")
def test_unschedulable(workspace: Workspace) -> None:
    workspace.run("no-node", scheduling={"nodeSelector": {"example.org/not": "there"}})
    message = workspace.waits_for("no-node", "Unschedulable")
    assert "node" in message
    assert condition(workspace.get("TrainingRun", "no-node") or {}, "Ready")["status"] == "False"


@pytest.fixture
def gpu_on_the_node(workspace: Workspace) -> Iterator[str]:
    """The name of a node that gets the accelerator of class gpu-demo for the test when asked to."""
    node = workspace.kube.list("Node", "")[0]["metadata"]["name"]
    body = {"status": {"capacity": {"nvidia.com/gpu": None}, "allocatable": {"nvidia.com/gpu": None}}}
    workspace.kube.patch("Node", "", node, body, subresource="status")  # the demo has added one
    workspace.kube.until(
        "Node", "", node, lambda n: "nvidia.com/gpu" not in n["status"]["allocatable"], timeout=90
    )
    yield node
    workspace.kube.patch("Node", "", node, body, subresource="status")


def test_a_gpu_class_waits_for_its_resource(workspace: Workspace, gpu_on_the_node: str) -> None:
    workspace.run("gpu", accelerator={"class": "gpu-demo", "count": 1})
    message = workspace.waits_for("gpu", "Unschedulable")
    assert "nvidia.com/gpu" in message
    body = {"status": {"capacity": {"nvidia.com/gpu": "1"}}}
    workspace.kube.patch("Node", "", gpu_on_the_node, body, subresource="status")
    run = workspace.succeeded("gpu")
    usage = run["status"]["usage"]
    assert "gpuSeconds" not in usage, "what is not measured is not zero"
    assert usage["unmeasured"] == "gpuSeconds: the image has no nvidia-smi"


@pytest.mark.produces("UnknownAcceleratorClass")
def test_an_unknown_accelerator_class_is_not_accepted(workspace: Workspace) -> None:
    workspace.run("no-class", accelerator={"class": "gpu-of-dreams"})
    run = workspace.until_run("no-class", lambda r: condition(r, "Accepted").get("status") == "False")
    accepted = condition(run, "Accepted")
    assert accepted["reason"] == "UnknownAcceleratorClass"
    assert "gpu-demo" in accepted["message"]
    assert condition(run, "Stalled")["status"] == "True"


@pytest.mark.produces("SecretMissing")
def test_secret_missing(workspace: Workspace) -> None:
    secret = workspace.get("Secret", f"{workspace.name}-datalab")
    assert secret is not None
    workspace.delete("Secret", f"{workspace.name}-datalab")
    workspace.run("no-secret")
    assert f"{workspace.name}-datalab" in workspace.waits_for("no-secret", "SecretMissing")
    secret["metadata"] = {"name": f"{workspace.name}-datalab"}
    workspace.apply(secret)
    workspace.succeeded("no-secret")


@pytest.mark.produces("NotPermitted")
def test_not_permitted(workspace: Workspace) -> None:
    """A namespace whose platform has not let the operator in: the message has the command that does."""
    roles = workspace.kube.list("Role", workspace.name)
    assert roles
    for role in roles:
        workspace.delete("Role", role["metadata"]["name"])
    workspace.run("no-rights")
    assert "kubectl" in workspace.waits_for("no-rights", "NotPermitted")
    for role in roles:
        kind = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role"}
        workspace.apply({**role, **kind, "metadata": {"name": role["metadata"]["name"]}})
    workspace.succeeded("no-rights")


@pytest.mark.produces("DatasetNotReady")
def test_dataset_not_ready(workspace: Workspace) -> None:
    workspace.run("early", TRAIN, datasets=[{"name": "later"}])
    assert "later" in workspace.waits_for("early", "DatasetNotReady")
    workspace.dataset("later", {"a.txt": b"here now"})
    run = workspace.succeeded("early")
    assert run["status"]["resolved"]["datasets"][0]["name"] == "later"
