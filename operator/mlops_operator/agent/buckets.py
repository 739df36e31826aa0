"""The buckets that an agent opens, with the credentials mounted into its pod."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mlops_operator.agent.places import Places
from mlops_operator.api.wire import CREDENTIALS_DIR, BucketHint
from mlops_operator.storage.client import Bucket
from mlops_operator.storage.credentials import Credentials, from_directory


def open_workspace(
    places: Places, hint: BucketHint, *, patience_seconds: float, denied_seconds: float = 0.0
) -> Bucket:
    """Open the workspace's bucket."""
    folder = places.path(CREDENTIALS_DIR)
    return Bucket(
        lambda: from_directory(folder, hint),
        patience_seconds=patience_seconds,
        denied_patience_seconds=denied_seconds,
    )


def open_source(folder: Path, hint: BucketHint, bucket: str, *, patience_seconds: float) -> Bucket:
    """Open a bucket that a dataset names, with the credentials in ``folder``."""

    def provide() -> Credentials:
        return replace(from_directory(folder, hint), bucket=bucket)

    return Bucket(provide, patience_seconds=patience_seconds)


def split_uri(uri: str) -> tuple[str, str]:
    """Split ``s3://bucket/prefix`` into bucket and prefix."""
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    return bucket, prefix
