"""Workspaces as a platform's workspace building block makes them: a namespace, a bucket, a Secret."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hack.kubectl import Kubectl
from hack.services.objects import decoded, secret
from hack.services.s3 import Credentials, S3Service

COMPONENT = Path(__file__).resolve().parents[2] / "manifests" / "components" / "workspace"


@dataclass(frozen=True)
class Workspace:
    """A namespace with its bucket."""

    name: str
    credentials: Credentials

    @property
    def secret_name(self) -> str:
        """The Secret with the bucket's credentials."""
        return f"{self.name}-datalab"


def secret_values(credentials: Credentials) -> dict[str, str]:
    """Give what the workspace's Secret holds."""
    return {
        "AWS_ACCESS_KEY_ID": credentials.access_key,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
        "AWS_ENDPOINT_URL": credentials.endpoint,
        "AWS_REGION": credentials.region,
        "AWS_S3_FORCE_PATH_STYLE": "true",
        "BUCKET": credentials.bucket,
    }


def namespace_object(name: str) -> dict[str, Any]:
    """Make the namespace, with the strictest level of pod security: training must run under it."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def component_objects(namespace: str, component: Path = COMPONENT) -> list[dict[str, Any]]:
    """Give what the component of the operator grants, for a namespace."""
    resources = yaml.safe_load((component / "kustomization.yaml").read_text())["resources"]
    return [
        found | {"metadata": found["metadata"] | {"namespace": namespace}}
        for name in resources
        for found in yaml.safe_load_all((component / name).read_text())
    ]


def write_credentials(kubectl: Kubectl, workspace: str, credentials: Credentials) -> None:
    """Put credentials into the workspace's Secret, as a rollover does."""
    kubectl.apply([secret(workspace, f"{workspace}-datalab", secret_values(credentials))])


def existing_credentials(name: str, bucket: str, s3: S3Service) -> Credentials | None:
    """Give what the workspace's Secret holds, if the server still takes it for the bucket's owner."""
    found = s3.kubectl.get("secret", f"{name}-datalab", name)
    if found is None:
        return None
    values = decoded(found)
    if values.get("BUCKET") != bucket or s3.owners().get(bucket) != values["AWS_ACCESS_KEY_ID"]:
        return None
    keys = values["AWS_ACCESS_KEY_ID"], values["AWS_SECRET_ACCESS_KEY"]
    return Credentials(*keys, values["AWS_ENDPOINT_URL"], values["AWS_REGION"], bucket)


def create_workspace(
    name: str, s3: S3Service, *, bucket: str | None = None, component: bool = True
) -> Workspace:
    """Make a workspace, or bring it up to date; a bucket keeps what is in it, and keys that work stay.

    Parameters
    ----------
    s3
        The server that gets the bucket; its cluster gets the namespace.
    bucket
        Name of the bucket, by default the workspace's.
    component
        Whether to grant the operator its rights; without them its runs wait with NotPermitted.

    Raises
    ------
    ClusterError
        If the cluster or the S3 server refuses.
    """
    bucket = bucket or name
    credentials = existing_credentials(name, bucket, s3) or s3.create_workspace_bucket(bucket)
    s3.kubectl.apply([namespace_object(name)])
    write_credentials(s3.kubectl, name, credentials)
    if component:
        s3.kubectl.apply(component_objects(name))
    return Workspace(name, credentials)


def roll_over(workspace: Workspace, s3: S3Service) -> Workspace:
    """Give the workspace new keys in its Secret; the old ones are refused when this returns."""
    credentials = s3.roll_over_credentials(workspace.credentials.bucket)
    write_credentials(s3.kubectl, workspace.name, credentials)
    return Workspace(workspace.name, credentials)


def delete_workspace(workspace: Workspace, s3: S3Service) -> None:
    """Remove the namespace and the bucket with all that is in it."""
    s3.kubectl.run("delete", "namespace", workspace.name, "--ignore-not-found", "--wait=false")
    s3.delete_bucket(workspace.credentials.bucket)
