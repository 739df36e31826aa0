"""A model's version in the bucket: copied from the run that made it on the server's side, and checked."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

from mlops_operator.api.wire import FileEntry, ModelDescription, ModelManifest, RunIdentity, RunManifest
from mlops_operator.errors import AlreadyExists, IntegrityError, ObjectNotFound
from mlops_operator.storage.digest import files_digest
from mlops_operator.storage.documents import read_document, write_document_once
from mlops_operator.storage.layout import (
    artifact_model_key,
    model_file_key,
    model_manifest_key,
    uri,
    version_prefix,
)
from mlops_operator.storage.objects import Objects
from mlops_operator.storage.run_manifest import read_run_manifest

_PARALLEL_COPIES = 4


@dataclass(frozen=True)
class StoredModel:
    """A version whose files are all there."""

    manifest: ModelManifest
    uri: str
    run_manifest: RunManifest


def read_model_manifest(bucket: Objects, model: str, version: str) -> ModelManifest | None:
    """Read the manifest of a version; None where it is not stored (yet).

    Raises
    ------
    IntegrityError
        It is no manifest, another version's, or its digest is not that of its files.
    """
    key = model_manifest_key(model, version)
    found = read_document(bucket, key, ModelManifest)
    if found is None:
        return None
    manifest = found[0]
    where = f"s3://{bucket.name}/{key}"
    if (manifest.model, manifest.version) != (model, version):
        raise IntegrityError(f"{where} is the manifest of {manifest.model} {manifest.version}")
    if files_digest(manifest.files) != manifest.digest:
        raise IntegrityError(f"the digest in {where} is not that of the files that it lists")
    return manifest


def store_model(
    bucket: Objects, model: str, version: str, run: RunIdentity, *, now: datetime | None = None
) -> StoredModel:
    """Copy the model of a run to its version, check every file, and write the version's manifest last.

    The version must have been claimed. It may be called again at any time: what is stored stays as it is.

    Raises
    ------
    ObjectNotFound
        The run has no manifest, or made no model, or one of its files is gone.
    IntegrityError
        A file is not the one of the run's manifest.
    AlreadyExists
        The version holds the model of another run.
    """
    run_manifest = _finished(bucket, run)
    description = _model_of(run_manifest)
    manifest = read_model_manifest(bucket, model, version)
    if manifest is None:
        with ThreadPoolExecutor(_PARALLEL_COPIES, thread_name_prefix="copy") as pool:
            list(
                pool.map(
                    lambda file: _copy(bucket, run_manifest.run, model, version, file), description.files
                )
            )
        manifest = _write(bucket, _manifest(model, version, run_manifest, description, now), run.uid)
    _same_run(manifest, run.uid)
    return StoredModel(manifest, uri(bucket.name, version_prefix(model, version)), run_manifest)


def verify_model(bucket: Objects, manifest: ModelManifest) -> bool:
    """Whether every file of a version is there with its size and its recorded sha256; reads no bytes."""
    return all(
        _holds(bucket, model_file_key(manifest.model, manifest.version, file.path), file)
        for file in manifest.files
    )


def _finished(bucket: Objects, run: RunIdentity) -> RunManifest:
    found = read_run_manifest(bucket, run.name, run.uid)
    if found is None:
        raise ObjectNotFound(f"run {run.name} has no manifest in s3://{bucket.name}/{run.prefix}")
    return found[0]


def _model_of(manifest: RunManifest) -> ModelDescription:
    if manifest.model is None:
        raise ObjectNotFound(
            f"run {manifest.run.name} made no model; ask for one with spec.outputs.model in the run"
        )
    return manifest.model


def _copy(bucket: Objects, run: RunIdentity, model: str, version: str, file: FileEntry) -> None:
    source = artifact_model_key(run, file.path)
    target = model_file_key(model, version, file.path)
    if _holds(bucket, target, file):
        return
    if not _holds(bucket, source, file):
        raise IntegrityError(
            f"s3://{bucket.name}/{source} is not the file that the run's manifest names: it is gone, or was changed"
        )
    bucket.copy(source, target)
    if not _holds(bucket, target, file):
        raise IntegrityError(
            f"s3://{bucket.name}/{target} is not what was copied there; the S3 server must keep the metadata of a copied object"
        )


def _holds(bucket: Objects, key: str, file: FileEntry) -> bool:
    found = bucket.head(key)
    return found is not None and (found.size_bytes, found.sha256) == (file.size_bytes, file.sha256)


def _manifest(
    model: str, version: str, run: RunManifest, description: ModelDescription, now: datetime | None
) -> ModelManifest:
    return ModelManifest(
        model=model,
        version=version,
        digest=files_digest(description.files),
        files=description.files,
        size_bytes=sum(file.size_bytes for file in description.files),
        description=description,
        run=run.run,
        metrics=run.metrics,
        parameters=run.parameters,
        commit=run.commit,
        datasets=run.datasets,
        created_at=(now or datetime.now(UTC)).replace(microsecond=0),  # as it is written
    )


def _write(bucket: Objects, manifest: ModelManifest, run_uid: str) -> ModelManifest:
    try:
        write_document_once(bucket, model_manifest_key(manifest.model, manifest.version), manifest)
    except AlreadyExists:
        # Another process was faster; its manifest differs in the time at least.
        standing = read_model_manifest(bucket, manifest.model, manifest.version)
        if standing is None:
            raise
        _same_run(standing, run_uid)
        return standing
    return manifest


def _same_run(manifest: ModelManifest, run_uid: str) -> None:
    if manifest.run.uid != run_uid:
        raise AlreadyExists(
            f"version {manifest.version} of model {manifest.model} holds the model of run {manifest.run.name}"
            f" ({manifest.run.uid}); files of a version never change: ask for another version"
        )
