"""What happens in the demo, in its order; each scene finds out for itself whether it has been played."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from hack.cluster.errors import ClusterError
from hack.demo.view import watch
from hack.images.catalogue import chosen, keyed
from hack.images.load import destination
from hack.kubectl import Kubectl, default_kubeconfig
from hack.services.git import GitService, connect_git
from hack.services.objects import decoded
from hack.services.s3 import Credentials, S3Service, connect_s3
from hack.services.workspace import Workspace, create_workspace, delete_workspace

if TYPE_CHECKING:
    from rich.console import Console

WORKSPACE = "ws-alice"
SAMPLES = Path(__file__).resolve().parents[2] / "manifests" / "samples"
GPU_RESOURCE = "nvidia.com/gpu"
GPU_RUN = "landcover-gpu"


@dataclass(frozen=True)
class Demo:
    """The cluster, its servers and the workspace."""

    kubectl: Kubectl
    s3: S3Service
    git: GitService

    @classmethod
    def connect(cls) -> Self:
        """Find the cluster and its servers.

        Raises
        ------
        ClusterError
            If there is none; the message says which command makes it.
        """
        kubeconfig = default_kubeconfig()
        return cls(Kubectl(kubeconfig), connect_s3(kubeconfig), connect_git(kubeconfig))

    @property
    def gpu_can_be_added(self) -> bool:
        """Whether the node's resources are ours to change: not on somebody's own cluster."""
        return os.environ.get("CLUSTER") != "current"

    def credentials(self) -> Credentials | None:
        """Give the workspace's credentials, or None if there is no workspace."""
        secret = self.kubectl.get("secret", f"{WORKSPACE}-datalab", WORKSPACE)
        if secret is None:
            return None
        values = decoded(secret)
        return Credentials(
            access_key=values["AWS_ACCESS_KEY_ID"],
            secret_key=values["AWS_SECRET_ACCESS_KEY"],
            endpoint=values["AWS_ENDPOINT_URL"],
            region=values["AWS_REGION"],
            bucket=values["BUCKET"],
        )

    def run(self, name: str) -> dict[str, Any] | None:
        """Give a TrainingRun of the workspace, or None."""
        return self.kubectl.get("trainingrun", name, WORKSPACE)

    def delete(self) -> None:
        """Delete the workspace and the servers."""
        if credentials := self.credentials():
            delete_workspace(Workspace(WORKSPACE, credentials), self.s3)
        self.kubectl.run("delete", "namespace", "mlops-demo", "--ignore-not-found", "--wait=false")


def play(demo: Demo, console: Console) -> None:
    """Play what has not been played yet."""
    console.rule("[bold]A workspace: a namespace with a bucket")
    credentials = _workspace(demo, console)
    console.rule("[bold]wine: scikit-learn and MLflow, unaware of the operator")
    _wine(demo, credentials, console)
    console.rule("[bold]landcover: a Landsat scene, code and labels in Git with LFS")
    _landcover(demo, console)
    watch(demo.kubectl, WORKSPACE, ["wine", "landcover"], console)
    console.rule("[bold]landcover on a GPU")
    _gpu(demo, console)


def _workspace(demo: Demo, console: Console) -> Credentials:
    if credentials := demo.credentials():
        console.print(f"Workspace {WORKSPACE} is there.")
        return credentials
    made = create_workspace(WORKSPACE, demo.s3)
    console.print(
        f"Made namespace {WORKSPACE}, bucket {made.credentials.bucket} and Secret {made.secret_name}."
    )
    return made.credentials


def _wine(demo: Demo, credentials: Credentials, console: Console) -> None:
    data = SAMPLES / "wine" / "data" / "wine.csv"
    demo.s3.client(credentials).upload_file(str(data), credentials.bucket, "data/wine/wine.csv")
    console.print(f"Put {data.name} into s3://{credentials.bucket}/data/wine/.")
    _apply(demo, "wine", console)


def _landcover(demo: Demo, console: Console) -> None:
    url = demo.git.create_repository("alice", "landcover")
    commit = demo.git.push_folder(url, SAMPLES / "landcover", ["*.tif"], "Classify a Landsat scene")
    console.print(f"Pushed code and data to {url} at {commit[:12]}.")
    _apply(demo, "landcover", console)


def _apply(demo: Demo, sample: str, console: Console) -> None:
    command = f"kubectl apply -k manifests/samples/{sample}"
    console.print(f"[cyan]$ {command}")
    said = demo.kubectl.run("apply", "--filename=-", stdin=_rendered(demo.kubectl, sample))
    console.print(said.strip())


def _rendered(kubectl: Kubectl, sample: str) -> str:
    """Give a sample's manifests, with the image under the name that the cluster has it by."""
    image = keyed(next(chosen(["python-ml"])))
    text = kubectl.run("kustomize", str(SAMPLES / sample))
    return text.replace(image.reference, destination().reference(image))


def _gpu(demo: Demo, console: Console) -> None:
    if not demo.gpu_can_be_added:
        console.print("Skipped: this is a cluster of yours, and the scene changes a node's resources.")
        return
    run = demo.run(GPU_RUN)
    if run is None:
        console.print(
            f"[cyan]$ kubectl -n {WORKSPACE} apply -f manifests/samples/landcover/training-run-gpu.yaml"
        )
        file = SAMPLES / "landcover" / "training-run-gpu.yaml"
        demo.kubectl.run("apply", f"--namespace={WORKSPACE}", f"--filename={file}")
        watch(demo.kubectl, WORKSPACE, [GPU_RUN], console, until_reason="Unschedulable")
        run = demo.run(GPU_RUN) or {}
        console.print(f"[bold]{GPU_RUN}[/] waits: {run.get('status', {}).get('message', '')}")
    if run.get("status", {}).get("phase") not in {"Succeeded", "Failed"}:
        node = demo.kubectl.list("node")[0]["metadata"]["name"]
        patch = f'{{"status": {{"capacity": {{"{GPU_RESOURCE}": "1"}}}}}}'
        console.print(f"[cyan]$ kubectl patch node {node} --subresource=status --type=merge -p '{patch}'")
        demo.kubectl.run("patch", "node", node, "--subresource=status", "--type=merge", f"--patch={patch}")
        watch(demo.kubectl, WORKSPACE, [GPU_RUN], console)


def ensure_ended(demo: Demo, names: list[str]) -> None:
    """Hold that runs have succeeded.

    Raises
    ------
    ClusterError
        If one has not; the message has its own.
    """
    for name in names:
        status = (demo.run(name) or {}).get("status", {})
        if status.get("phase") != "Succeeded":
            raise ClusterError(
                f"The run {name} is {status.get('phase', 'missing')}: {status.get('message', '')}"
            )
