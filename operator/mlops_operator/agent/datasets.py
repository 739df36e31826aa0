"""A dataset's files, fetched by its manifest: each is the one of the snapshot, or the run does not start."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from mlops_operator.agent.buckets import open_source, split_uri
from mlops_operator.agent.git import empty, open_git, subfolder
from mlops_operator.agent.globs import matcher
from mlops_operator.agent.parallel import in_parallel
from mlops_operator.agent.places import Places
from mlops_operator.api.sources import GitSource
from mlops_operator.api.wire import (
    CREDENTIALS_DIR,
    BucketHint,
    DatasetFile,
    DatasetManifest,
    StagedDataset,
)
from mlops_operator.errors import DatasetChanged, ObjectNotFound, SourceNotFound
from mlops_operator.storage.client import Bucket
from mlops_operator.storage.digest import files_digest, sha256_file
from mlops_operator.storage.layout import relative_path

_log = logging.getLogger(__name__)
_WORKERS = 8
_PATIENCE_SECONDS = 60.0
_LOG_SECONDS = 10.0


def fetch_dataset(dataset: StagedDataset, workspace: Bucket, hint: BucketHint, places: Places) -> None:
    """Put a dataset's files below its path.

    Raises
    ------
    DatasetChanged
        A file is not the one of the snapshot, or is gone.
    SourceNotFound
        The manifest, or the repository, is not there, or no file fits the globs.
    StorageError, OSError
        The bucket did not answer, or the disk is full.
    """
    manifest = read_manifest(dataset, workspace)
    fits = matcher(dataset.include)
    files = [file for file in manifest.files if fits(file.path)]
    if not files:
        raise SourceNotFound(
            f"dataset {dataset.name}, version {dataset.version}: none of its {len(manifest.files)} files fits include"
            f" {dataset.include}; the first is {manifest.files[0].path if manifest.files else 'missing'}"
        )
    folder = places.path(dataset.path)
    empty(folder)
    size = sum(file.size_bytes for file in files)
    _log.info("dataset %s, version %s: %d files, %d bytes", dataset.name, dataset.version, len(files), size)
    if manifest.git is not None:
        credentials = places.path(dataset.git_credentials_dir) if dataset.git_credentials_dir else None
        _fetch_git(dataset, manifest.git, files, folder, credentials)
    else:
        _fetch_s3(dataset, manifest, files, folder, hint=hint, places=places)


def read_manifest(dataset: StagedDataset, workspace: Bucket) -> DatasetManifest:
    """Read the manifest of a dataset's version. Raises DatasetChanged where it is not the one of the run."""
    try:
        # Its text is not kept: with 50,000 files it is 9 MB beside the objects.
        manifest = DatasetManifest.model_validate_json(workspace.get_bytes(dataset.manifest))
    except ObjectNotFound as error:
        raise SourceNotFound(
            f"dataset {dataset.name}, version {dataset.version}: its manifest {dataset.manifest} is not in the"
            " workspace's bucket any more; make a new version of the dataset"
        ) from error
    digest = files_digest(manifest.files)
    if digest != dataset.digest:
        raise DatasetChanged(
            f"dataset {dataset.name}, version {dataset.version}: its manifest {dataset.manifest} lists files of digest"
            f" {digest}, the run wants {dataset.digest}"
        )
    return manifest


# --- S3 -------------------------------------------------------------------------------------------------------


@dataclass
class _Progress:
    """Says in the log how far a download is."""

    name: str
    total: int
    done: int = 0
    said: float = 0.0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self.said = time.monotonic()

    def add(self, size: int) -> None:
        with self._lock:
            self.done += size
            if time.monotonic() - self.said >= _LOG_SECONDS:
                self.said = time.monotonic()
                _log.info("%s: %d of %d bytes", self.name, self.done, self.total)


def _fetch_s3(
    dataset: StagedDataset,
    manifest: DatasetManifest,
    files: list[DatasetFile],
    folder: Path,
    *,
    hint: BucketHint,
    places: Places,
) -> None:
    if manifest.s3 is None:
        raise SourceNotFound(
            f"dataset {dataset.name}, version {dataset.version}: its manifest names no source"
        )
    bucket, _ = split_uri(manifest.s3.uri)
    credentials = places.path(dataset.s3_credentials_dir or CREDENTIALS_DIR)
    source = open_source(credentials, hint, bucket, patience_seconds=_PATIENCE_SECONDS)
    progress = _Progress(dataset.name, sum(file.size_bytes for file in files))

    def fetch(file: DatasetFile) -> None:
        target = folder / relative_path(file.path)
        where = f"s3://{bucket}/{file.key}"
        try:
            found = source.download_file(
                file.key or file.path, target, version_id=file.version_id, progress=progress.add
            )
        except ObjectNotFound as error:
            raise changed(dataset, file, where, "no such object") from error
        check(dataset, file, where, target.stat().st_size, found)

    in_parallel(fetch, files, _WORKERS)


# --- Git ------------------------------------------------------------------------------------------------------


def _fetch_git(
    dataset: StagedDataset, git: GitSource, files: list[DatasetFile], folder: Path, credentials: Path | None
) -> None:
    clone = folder / ".clone"
    with open_git(git, credentials) as repository:
        repository.checkout(git.ref, clone, include=lfs_patterns(git, dataset.include))
    root = subfolder(git, clone)
    for file in files:
        found = root / relative_path(file.path)
        where = f"{git.url} at {git.ref}"
        if not found.resolve().is_relative_to(clone.resolve()) or not found.is_file():
            raise changed(dataset, file, where, "no such file")
        check(dataset, file, where, found.stat().st_size, sha256_file(found))
        target = folder / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        if found.is_symlink():
            shutil.copyfile(found, target)
        else:
            found.rename(target)
    shutil.rmtree(clone)


def lfs_patterns(git: GitSource, include: list[str] | None) -> list[str] | None:
    """Give the patterns of Git LFS for what a dataset uses of a repository; they may fit more, never less."""
    if git.path is None:
        return include
    base = git.path.strip("/")
    return [f"{base}/**"] if include is None else [f"{base}/{glob.removeprefix('./')}" for glob in include]


# --- what changed ---------------------------------------------------------------------------------------------


def check(dataset: StagedDataset, file: DatasetFile, where: str, size_bytes: int, sha256: str) -> None:
    """Compare a file with the snapshot's. Raises DatasetChanged."""
    if (size_bytes, sha256) != (file.size_bytes, file.sha256):
        raise changed(dataset, file, where, f"{size_bytes} bytes, sha256 {sha256}")


def changed(dataset: StagedDataset, file: DatasetFile, where: str, found: str) -> DatasetChanged:
    return DatasetChanged(
        f"dataset {dataset.name}, version {dataset.version}: {file.path} ({where}) is not the file of the snapshot:"
        f" expected {file.size_bytes} bytes, sha256 {file.sha256}; found {found}. Put it back, or make a new version"
        " of the dataset (spec.version)"
    )
