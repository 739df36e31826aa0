"""The newest whole checkpoint, put back where the training looks for it."""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from mlops_operator.agent.failure import shorten
from mlops_operator.agent.parallel import in_parallel
from mlops_operator.agent.places import Places
from mlops_operator.api.checkpoints import ResumedStatus
from mlops_operator.api.wire import CheckpointManifest, CheckpointsOrder, FileEntry, RunIdentity
from mlops_operator.errors import IntegrityError, ObjectNotFound, SourceNotFound
from mlops_operator.storage.checkpoints import SetName, list_checkpoints, read_checkpoint
from mlops_operator.storage.client import Bucket
from mlops_operator.storage.layout import checkpoint_file_key, relative_path

_log = logging.getLogger(__name__)
_WORKERS = 8
_MAX_SKIPPED = 8
_MAX_TEXT_BYTES = 500


@dataclass(frozen=True)
class Restored:
    """What was put back. ``path`` is the one in the pod; ``skipped``: newer ones that are damaged, and why."""

    resumed: ResumedStatus | None = None
    path: str = ""
    skipped: list[str] = field(default_factory=list)


def restore(order: CheckpointsOrder, run: RunIdentity, bucket: Bucket, places: Places) -> Restored:
    """Put the newest whole checkpoint into the checkpoint folder: the run's own, else that of the run to go on from.

    Raises
    ------
    SourceNotFound
        The run to go on from has no whole checkpoint.
    StorageError, OSError
        The bucket did not answer, or the disk is full.
    """
    folder = places.path(order.folder)
    folder.mkdir(parents=True, exist_ok=True)
    skipped: list[str] = []
    if order.resume:
        found = _newest(run, bucket, folder, skipped)
        if found is not None:
            return Restored(_status(found), f"{order.folder}/{found.name}", skipped)
    if order.resume_from is None:
        return Restored(skipped=skipped)
    other = RunIdentity(
        name=order.resume_from.name, namespace=order.resume_from.namespace, uid=order.resume_from.uid
    )
    found = _newest(other, bucket, folder, skipped)
    if found is None:
        damaged = f" ({'; '.join(skipped)})" if skipped else ""
        raise SourceNotFound(
            f"spec.resumeFrom: run {other.name} (uid {other.uid}) has no whole checkpoint in the bucket any"
            f" more{damaged}. Apply the run anew, without resumeFrom or from another run."
        )
    return Restored(_status(found), f"{order.folder}/{found.name}", skipped)


def _newest(run: RunIdentity, bucket: Bucket, folder: Path, skipped: list[str]) -> CheckpointManifest | None:
    for name in reversed(list_checkpoints(bucket, run).complete):
        try:
            manifest = read_checkpoint(bucket, run, name)
            _fetch(manifest, run, name, bucket, folder)
        except (IntegrityError, ObjectNotFound) as error:
            _log.warning("checkpoint %s of run %s is passed over: %s", name, run.name, error)
            if len(skipped) < _MAX_SKIPPED:
                skipped.append(shorten(f"{name} of run {run.name}: {error}", _MAX_TEXT_BYTES))
            continue
        _log.info("restored checkpoint %s of run %s: %s", name, run.name, manifest.name)
        return manifest
    return None


def _fetch(
    manifest: CheckpointManifest, run: RunIdentity, name: SetName, bucket: Bucket, folder: Path
) -> None:
    """Download a checkpoint beside its place, check every file, then put it there."""
    if relative_path(manifest.name) != manifest.name.split("/", 1)[0]:
        raise IntegrityError(f"{manifest.name!r} is not a name")
    _check_space(manifest, folder)
    # Its name is passed over by the sidecar, and never one of a checkpoint.
    beside = folder / ".restored"
    shutil.rmtree(beside, ignore_errors=True)
    try:
        in_parallel(lambda file: _fetch_file(file, run, name, bucket, beside), manifest.files, _WORKERS)
        place = folder / manifest.name
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        (beside / manifest.name).replace(place)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _fetch_file(file: FileEntry, run: RunIdentity, name: SetName, bucket: Bucket, beside: Path) -> None:
    key = checkpoint_file_key(run, str(name), file.path)
    found = bucket.download_file(key, beside / relative_path(file.path))
    if found != file.sha256:
        raise IntegrityError(f"{file.path} is damaged: its sha256 is {found}, not {file.sha256}")


def _check_space(manifest: CheckpointManifest, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if manifest.size_bytes > free:
        raise OSError(
            28, "No space left on device", f"{folder}: the checkpoint has {manifest.size_bytes} bytes"
        )


def _status(manifest: CheckpointManifest) -> ResumedStatus:
    return ResumedStatus(
        training_run=manifest.run.name,
        uid=manifest.run.uid,
        attempt=manifest.run.attempt,
        name=manifest.name,
        step=manifest.step,
        digest=manifest.digest,
    )
