"""The manifest of a run: there is one as soon as everything that the run kept is in the bucket."""

from __future__ import annotations

from mlops_operator.api.wire import ProgressReport, RunIdentity, RunManifest
from mlops_operator.errors import IntegrityError
from mlops_operator.storage.documents import read_document
from mlops_operator.storage.layout import attempt_file_key, attempt_progress_key, run_manifest_key
from mlops_operator.storage.objects import Objects


def read_run_manifest(bucket: Objects, run: str, uid: str) -> tuple[RunManifest, str] | None:
    """Read the manifest of a run, by its name and uid, and its digest; None where there is none (yet).

    Raises
    ------
    IntegrityError
        It is no manifest, or another run's.
    """
    key = run_manifest_key(RunIdentity(name=run, namespace="", uid=uid))
    found = read_document(bucket, key, RunManifest)
    if found is not None and (found[0].run.name, found[0].run.uid) != (run, uid):
        raise IntegrityError(f"s3://{bucket.name}/{key} is the manifest of another run: {found[0].run.uid}")
    return found


def read_progress(bucket: Objects, run: RunIdentity) -> ProgressReport | None:
    """Read the report that the agent of an attempt (of a worker of it) left; None where there is none, or none of this run.

    Raises
    ------
    IntegrityError
        It is no report.
    """
    found = read_document(bucket, attempt_progress_key(run), ProgressReport)
    return found[0] if found is not None and found[0].run.uid == run.uid else None


def verify_files(bucket: Objects, manifest: RunManifest) -> bool:
    """Whether every file that the manifest names is there with its size; asks for a listing, reads no bytes."""
    expected = {attempt_file_key(manifest.run, file.path): file.size_bytes for file in manifest.files}
    if not expected:
        return True
    sizes = {found.key: found.size_bytes for found in bucket.list(manifest.run.attempt_prefix)}
    return all(sizes.get(key) == size_bytes for key, size_bytes in expected.items())
