"""``snapshot``: the manifest of a dataset's version, from every byte of its source."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from mlops_operator.agent.buckets import open_source, open_workspace, split_uri
from mlops_operator.agent.datasets import lfs_patterns
from mlops_operator.agent.git import is_lfs_pointer, open_git, subfolder
from mlops_operator.agent.parallel import in_parallel
from mlops_operator.agent.places import Places
from mlops_operator.api.sources import GitSource
from mlops_operator.api.trainingdataset import S3Source
from mlops_operator.api.wire import (
    CREDENTIALS_DIR,
    DatasetFile,
    DatasetManifest,
    SnapshotOrder,
)
from mlops_operator.errors import AlreadyExists, DatasetChanged, IntegrityError, SourceNotFound
from mlops_operator.storage.client import Bucket, ObjectInfo
from mlops_operator.storage.dataset_manifest import write_dataset_manifest
from mlops_operator.storage.digest import files_digest, sha256_file
from mlops_operator.storage.layout import relative_path

_log = logging.getLogger(__name__)
_WORKERS = 8
_PATIENCE_SECONDS = 60.0
_LOG_SECONDS = 10.0
_OWN_PREFIXES = ("mlops/", "stac/")


def snapshot(order: SnapshotOrder, places: Places) -> DatasetManifest:
    """Hash every file of the source and write the version's manifest.

    Raises
    ------
    SourceNotFound
        The source is not there, or empty.
    DatasetChanged
        The version exists with other files.
    StorageError
        The bucket did not do what was asked.
    """
    workspace = open_workspace(places, order.bucket, patience_seconds=_PATIENCE_SECONDS)
    commit = None
    if order.s3 is not None:
        files = _hash_s3(order, order.s3, places)
    elif order.git is not None:
        credentials = places.path(order.git_credentials_dir) if order.git_credentials_dir else None
        commit, files = _hash_git(order.git, credentials)
    else:
        raise SourceNotFound(f"dataset {order.name}: the order names no source")
    files.sort(key=lambda file: file.path)
    manifest = DatasetManifest(
        name=order.name,
        version=order.version,
        digest=files_digest(files),
        files=files,
        size_bytes=sum(file.size_bytes for file in files),
        s3=order.s3,
        git=order.git.model_copy(update={"ref": commit}) if order.git else None,
        revision=commit,
        created_at=datetime.now(UTC),
        dataset_uid=order.uid,
    )
    return _write_once(workspace, manifest)


def _write_once(workspace: Bucket, manifest: DatasetManifest) -> DatasetManifest:
    """Write the manifest; a version that exists with the same files is left as it is."""
    try:
        standing = write_dataset_manifest(workspace, manifest)
    except AlreadyExists as error:
        raise DatasetChanged(
            f"{error}. Its source has {len(manifest.files)} files now, digest {manifest.digest}"
        ) from error
    _log.info("version %s: %d files, digest %s", standing.version, len(standing.files), standing.digest)
    return standing


class _Counter:
    """Says in the log how far the hashing is."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._said = time.monotonic()
        self._files = 0
        self._bytes = 0

    def add(self, size: int) -> None:
        with self._lock:
            self._files += 1
            self._bytes += size
            if time.monotonic() - self._said >= _LOG_SECONDS:
                self._said = time.monotonic()
                _log.info("hashed %d files, %d bytes", self._files, self._bytes)


# --- S3 -------------------------------------------------------------------------------------------------------


def _hash_s3(order: SnapshotOrder, source: S3Source, places: Places) -> list[DatasetFile]:
    name, prefix = split_uri(source.uri)
    credentials = places.path(order.s3_credentials_dir or CREDENTIALS_DIR)
    bucket = open_source(credentials, order.bucket, name, patience_seconds=_PATIENCE_SECONDS)
    files: list[DatasetFile] = []
    counter = _Counter()

    def hash_object(found: tuple[str, ObjectInfo]) -> None:
        path, info = found
        sha256, size = bucket.digest_object(info.key)
        files.append(DatasetFile(path=path, size_bytes=size, sha256=sha256, key=info.key))
        counter.add(size)

    in_parallel(hash_object, list_objects(bucket, prefix, source.uri), _WORKERS)
    if not files:
        raise SourceNotFound(f"there is no object below {source.uri}: put the data there, or correct the uri")
    return files


def list_objects(bucket: Bucket, prefix: str, uri: str) -> Iterator[tuple[str, ObjectInfo]]:
    """Give path in the dataset and object of everything below a prefix; a prefix may be one object's key."""
    if prefix and not prefix.endswith("/"):
        info = bucket.head(prefix)
        if info is not None:
            yield prefix.rpartition("/")[2], info
            return
        prefix += "/"
    for info in bucket.list(prefix):
        path = info.key[len(prefix) :]
        if not path or path.endswith("/") or (not prefix and path.startswith(_OWN_PREFIXES)):
            continue
        try:
            yield relative_path(path), info
        except IntegrityError as error:
            raise SourceNotFound(
                f"{uri}: the key {info.key!r} cannot be a path of a file; rename it"
            ) from error


# --- Git ------------------------------------------------------------------------------------------------------


def _hash_git(source: GitSource, credentials: Path | None) -> tuple[str, list[DatasetFile]]:
    with tempfile.TemporaryDirectory(prefix="clone-") as folder, open_git(source, credentials) as git:
        commit = git.resolve()
        clone = Path(folder)
        git.checkout(commit, clone, include=lfs_patterns(source, None))
        lfs = git.lfs_files(clone)
        root = subfolder(source, clone)
        files = list(_hash_folder(root, clone, lfs, source))
        shutil.rmtree(clone / ".git")
    if not files:
        raise SourceNotFound(
            f"{source.url}: there is no file in {source.path or 'the repository'} at {commit}"
        )
    return commit, files


def _hash_folder(root: Path, clone: Path, lfs: frozenset[str], source: GitSource) -> Iterator[DatasetFile]:
    counter = _Counter()
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name != ".git")
        for name in sorted(names):
            path = Path(folder) / name
            if not path.resolve().is_relative_to(clone.resolve()) or not path.is_file():
                _log.warning(
                    "%s is a link to nothing in the repository; it is left out", path.relative_to(clone)
                )
                continue
            if source.lfs and is_lfs_pointer(path):
                raise SourceNotFound(
                    f"{source.url}: the bytes of {path.relative_to(clone)} are missing in Git LFS; push them (git lfs push)"
                )
            size = path.stat().st_size
            counter.add(size)
            yield DatasetFile(
                path=relative_path(path.relative_to(root).as_posix()),
                size_bytes=size,
                sha256=sha256_file(path),
                lfs=path.relative_to(clone).as_posix() in lfs,
            )
