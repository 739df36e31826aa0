"""Checkpoints in the bucket: each a prefix of its own, valid once its manifest is there.

The prefix is named ``<attempt>-<sequence>-<digest>``. So two attempts, or an agent that was killed and goes on, never
write into the same one, and of two checkpoints the later attempt's is the newer, then the higher sequence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from mlops_operator.api.wire import CheckpointManifest, RunIdentity
from mlops_operator.errors import IntegrityError
from mlops_operator.storage.digest import files_digest
from mlops_operator.storage.documents import read_document
from mlops_operator.storage.layout import (
    RUNS_PREFIX,
    checkpoint_manifest_key,
    checkpoint_prefix,
    checkpoints_prefix,
)
from mlops_operator.storage.objects import Objects

_NAME = re.compile(r"(\d{3,9})-(\d{6,12})-([0-9a-f]{16})")
_UID8 = re.compile(r"[0-9a-f]{8}")
_DIGEST_DIGITS = 16


@dataclass(frozen=True, order=True)
class SetName:
    """Name of a checkpoint's prefix; they are in order of age."""

    attempt: int
    sequence: int
    digest: str  # the first digits of the checkpoint's

    def __str__(self) -> str:
        return f"{self.attempt:03d}-{self.sequence:06d}-{self.digest}"

    @classmethod
    def of(cls, attempt: int, sequence: int, digest: str) -> SetName:
        """Name a checkpoint; ``digest`` is ``sha256:…``."""
        return cls(attempt, sequence, digest.removeprefix("sha256:")[:_DIGEST_DIGITS])

    @classmethod
    def parse(cls, text: str) -> SetName | None:
        found = _NAME.fullmatch(text)
        return cls(int(found[1]), int(found[2]), found[3]) if found else None


@dataclass(frozen=True)
class Found:
    """What there is of checkpoints, oldest first. ``partial``: without a manifest."""

    complete: tuple[SetName, ...] = ()
    partial: tuple[SetName, ...] = ()


def list_checkpoints(bucket: Objects, run: RunIdentity) -> Found:
    """See which checkpoints of a run there are."""
    names = [SetName.parse(folder) for folder in bucket.list_folders(checkpoints_prefix(run))]
    complete: list[SetName] = []
    partial: list[SetName] = []
    for name in sorted(name for name in names if name is not None):
        there = bucket.head(checkpoint_manifest_key(run, str(name))) is not None
        (complete if there else partial).append(name)
    return Found(tuple(complete), tuple(partial))


def read_checkpoint(bucket: Objects, run: RunIdentity, name: SetName) -> CheckpointManifest:
    """Read a checkpoint's manifest.

    Raises
    ------
    IntegrityError
        It is not there, no manifest, or another checkpoint's.
    """
    key = checkpoint_manifest_key(run, str(name))
    found = read_document(bucket, key, CheckpointManifest)
    if found is None:
        raise IntegrityError(f"there is no s3://{bucket.name}/{key}")
    manifest = found[0]
    if (manifest.run.name, manifest.run.uid[:8]) != (run.name, run.uid[:8]):
        raise IntegrityError(f"s3://{bucket.name}/{key} is of another run: {manifest.run.name}")
    digest = files_digest(manifest.files)
    if digest != manifest.digest or SetName.of(name.attempt, name.sequence, digest) != name:
        raise IntegrityError(
            f"s3://{bucket.name}/{key} lists files of digest {digest}, and is that of {manifest.digest}"
        )
    if any(file.path.split("/", 1)[0] != manifest.name for file in manifest.files):
        raise IntegrityError(f"s3://{bucket.name}/{key} lists files outside of {manifest.name!r}")
    return manifest


def remove_checkpoint(bucket: Objects, run: RunIdentity, name: SetName) -> None:
    """Remove a checkpoint, its manifest first: half a checkpoint is never an answer."""
    bucket.delete(checkpoint_manifest_key(run, str(name)))
    for found in list(bucket.list(checkpoint_prefix(run, str(name)))):
        bucket.delete(found.key)


def runs_of_name(bucket: Objects, name: str) -> Iterator[RunIdentity]:
    """Give the runs of a name that have a folder in the bucket; of their uid only the first eight characters are known."""
    for rest in bucket.list_folders(f"{RUNS_PREFIX}{name}-"):
        if _UID8.fullmatch(rest):
            yield RunIdentity(name=name, namespace="", uid=rest)


def newest_of_name(bucket: Objects, name: str, *, without_uid: str = "") -> CheckpointManifest | None:
    """Give the newest checkpoint of all runs of a name, but for one uid; None where there is none."""
    newest: CheckpointManifest | None = None
    for run in runs_of_name(bucket, name):
        if run.uid == without_uid[:8]:
            continue
        manifest = _newest(bucket, run)
        if manifest is not None and (newest is None or manifest.created_at > newest.created_at):
            newest = manifest
    return newest


def _newest(bucket: Objects, run: RunIdentity) -> CheckpointManifest | None:
    for name in reversed(list_checkpoints(bucket, run).complete):
        try:
            return read_checkpoint(bucket, run, name)
        except IntegrityError:
            continue  # damaged: the one before it counts
    return None
