"""Which versions of its datasets a run trains on: decided once, then pinned in its status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mlops_operator.api.trainingdataset import DatasetVersionStatus, TrainingDataset
from mlops_operator.api.trainingrun import DatasetRef, ResolvedDataset
from mlops_operator.api.wire import DATASET_CREDENTIALS_DIR, DATASETS_DIR, StagedDataset
from mlops_operator.domain.effects import CheckSecret
from mlops_operator.domain.naming import dataset_manifest_key
from mlops_operator.domain.pod import DatasetSecret
from mlops_operator.domain.waiting import Waiting

LISTED = 20


@dataclass(frozen=True)
class Pinned:
    """Datasets as the status names them, as stage-in gets them, and the Secrets that reading them needs."""

    resolved: tuple[ResolvedDataset, ...] = ()
    staged: tuple[StagedDataset, ...] = ()
    secrets: tuple[DatasetSecret, ...] = ()
    checks: tuple[CheckSecret, ...] = ()


def pin(
    refs: list[DatasetRef],
    datasets: Mapping[str, TrainingDataset],
    namespace: str,
    before: list[ResolvedDataset],
) -> Pinned | Waiting:
    """Pin every dataset, or say which one is not ready and why. What was pinned before stays pinned."""
    earlier = {entry.name: entry for entry in before}
    pinned = Pinned()
    for ref in refs:
        entry = _version(ref, datasets.get(ref.name), namespace, earlier.get(ref.name))
        if isinstance(entry, Waiting):
            return entry
        pinned = _with(pinned, ref, datasets[ref.name], entry, namespace)
    return pinned


def _version(
    ref: DatasetRef, dataset: TrainingDataset | None, namespace: str, before: ResolvedDataset | None
) -> DatasetVersionStatus | Waiting:
    if dataset is None:
        return _not_ready(f"TrainingDataset {ref.name!r} does not exist in namespace {namespace}; create it.")
    wanted = (before.version if before is not None else None) or ref.version or dataset.spec.version
    made = {entry.version: entry for entry in dataset.status.versions}
    if wanted in made:
        return made[wanted]
    if wanted != dataset.spec.version:
        names = ", ".join(list(made)[-LISTED:]) or "none yet"
        return _not_ready(
            f"TrainingDataset {ref.name!r} has no version {wanted!r}; it has: {names}. Its spec.version asks for"
            f" {dataset.spec.version!r}."
        )
    status = dataset.status
    why = f"{status.phase or 'Pending'}: {status.message or 'its snapshot has not begun'}"
    older = f" To train on an older version, name it: {', '.join(list(made)[-LISTED:])}." if made else ""
    return _not_ready(f"TrainingDataset {ref.name!r} version {wanted!r} is not ready. It is {why}{older}")


def _not_ready(message: str) -> Waiting:
    return Waiting("DatasetNotReady", message)


def _with(
    pinned: Pinned, ref: DatasetRef, dataset: TrainingDataset, entry: DatasetVersionStatus, namespace: str
) -> Pinned:
    s3, git = dataset.spec.source.s3, dataset.spec.source.git
    reference = (s3 or git or None) and ((s3 or git).credentials_secret_ref)  # type: ignore[union-attr]
    directory = f"{DATASET_CREDENTIALS_DIR}/{ref.name}" if reference is not None else None
    staged = StagedDataset(
        name=ref.name,
        version=entry.version,
        digest=entry.digest,
        manifest=entry.manifest or dataset_manifest_key(ref.name, entry.version),
        include=list(ref.include) if ref.include is not None else None,
        # A mountPath is a mount of this folder.
        path=f"{DATASETS_DIR}/{ref.name}",
        s3_credentials_dir=directory if s3 is not None else None,
        git_credentials_dir=directory if s3 is None else None,
    )
    secrets, checks = pinned.secrets, pinned.checks
    if reference is not None and directory is not None:
        secrets = (*secrets, DatasetSecret(reference.name, directory))
        checks = (*checks, CheckSecret(namespace, reference.name, () if s3 is not None else GIT_KEYS))
    resolved = ResolvedDataset(name=ref.name, version=entry.version, digest=entry.digest)
    return Pinned((*pinned.resolved, resolved), (*pinned.staged, staged), secrets, checks)


GIT_KEYS = ("username", "password")
