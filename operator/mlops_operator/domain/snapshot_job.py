"""The Job that lists a dataset's source and writes the manifest of a version."""

from __future__ import annotations

from mlops_operator.api.base import SecretRef
from mlops_operator.api.trainingdataset import TrainingDataset
from mlops_operator.api.wire import (
    BIN_DIR,
    CREDENTIALS_DIR,
    DATASET_CREDENTIALS_DIR,
    GIT_CREDENTIALS_DIR,
    SnapshotOrder,
)
from mlops_operator.domain import resources
from mlops_operator.domain.effects import WorkspaceReady
from mlops_operator.domain.job import job
from mlops_operator.domain.naming import snapshot_job_name
from mlops_operator.domain.plan import Object
from mlops_operator.domain.pod import agent_container, mount, secret_volume, security_context
from mlops_operator.settings import Settings


def source_secret(dataset: TrainingDataset) -> SecretRef | None:
    """Find the Secret that reading the source needs beside the workspace's own."""
    s3, git = dataset.spec.source.s3, dataset.spec.source.git
    if s3 is not None:
        return s3.credentials_secret_ref
    return git.credentials_secret_ref if git is not None else None


def snapshot_job(
    dataset: TrainingDataset, number: int, workspace: WorkspaceReady, settings: Settings
) -> Object:
    """Build the Job of try ``number`` for the version that the spec names."""
    metadata, source = dataset.metadata, dataset.spec.source
    secret = source_secret(dataset)
    directory = f"{DATASET_CREDENTIALS_DIR}/{metadata.name}" if source.s3 is not None else GIT_CREDENTIALS_DIR
    order = SnapshotOrder(
        namespace=metadata.namespace,
        name=metadata.name,
        uid=metadata.uid,
        version=dataset.spec.version,
        bucket=workspace.bucket,
        s3=source.s3,
        git=source.git,
        s3_credentials_dir=directory if secret is not None and source.s3 is not None else None,
        git_credentials_dir=directory if secret is not None and source.s3 is None else None,
    )
    mounts = [
        mount("bin", BIN_DIR),
        mount("tmp", "/tmp"),  # noqa: S108 - a path in the container
        mount("credentials", CREDENTIALS_DIR, read_only=True),
    ]
    volumes = [
        {"name": "bin", "emptyDir": {}},
        {"name": "tmp", "emptyDir": {}},
        secret_volume("credentials", workspace.secret),
    ]
    if secret is not None:
        mounts.append(mount("source-credentials", directory, read_only=True))
        volumes.append(secret_volume("source-credentials", secret.name))
    container = {
        **agent_container("snapshot", "snapshot", order.model_dump_json(by_alias=True), settings),
        "resources": resources.fixed(settings.snapshot_resources),
        "volumeMounts": mounts,
    }
    pod: Object = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 10,
        "securityContext": security_context(settings),
        "containers": [container],
        "volumes": volumes,
    }
    name = snapshot_job_name(metadata.name, number)
    return job("TrainingDataset", metadata, name=name, number=number, pod=pod)
