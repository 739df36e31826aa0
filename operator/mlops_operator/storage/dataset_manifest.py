"""The manifest of a dataset's version: which files it is made of, by their digests."""

from __future__ import annotations

from mlops_operator.api.wire import DatasetManifest
from mlops_operator.errors import AlreadyExists, IntegrityError
from mlops_operator.storage.digest import files_digest
from mlops_operator.storage.documents import encode, read_document
from mlops_operator.storage.layout import dataset_manifest_key, relative_path
from mlops_operator.storage.objects import Objects


def read_dataset_manifest(bucket: Objects, name: str, version: str) -> DatasetManifest | None:
    """Read the manifest of a version; None where there is none (yet).

    Raises
    ------
    IntegrityError
        It is no manifest, another version's, its digest is not that of its files, or a path leaves its folder.
    """
    key = dataset_manifest_key(name, version)
    found = read_document(bucket, key, DatasetManifest)
    if found is None:
        return None
    manifest = found[0]
    where = f"s3://{bucket.name}/{key}"
    if (manifest.name, manifest.version) != (name, version):
        raise IntegrityError(f"{where} is the manifest of {manifest.name} {manifest.version}")
    for file in manifest.files:
        relative_path(file.path)
    if files_digest(manifest.files) != manifest.digest:
        raise IntegrityError(f"the digest in {where} is not that of the files that it lists")
    return manifest


def write_dataset_manifest(bucket: Objects, manifest: DatasetManifest) -> DatasetManifest:
    """Write the manifest of a version once, and give the one that stands: an earlier one with the same files wins.

    Raises
    ------
    AlreadyExists
        The version was made before, of other files.
    """
    key = dataset_manifest_key(manifest.name, manifest.version)
    try:
        bucket.put_once(key, encode(manifest))
    except AlreadyExists:
        standing = read_dataset_manifest(bucket, manifest.name, manifest.version)
        if standing is None or standing.digest != manifest.digest:
            raise AlreadyExists(
                f"version {manifest.version} of dataset {manifest.name} was made before, of other files; versions"
                " never change: ask for a new one (spec.version)"
            ) from None
        return standing
    return manifest
