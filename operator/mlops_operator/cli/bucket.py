"""The workspace's bucket: by its Secret while there is a cluster, else by the AWS_* variables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from mlops_operator.api.wire import BucketHint
from mlops_operator.cli.cluster import Cluster
from mlops_operator.cli.errors import CliError, ClusterError
from mlops_operator.storage.client import Bucket
from mlops_operator.storage.credentials import Credentials, from_secret

SECRET: Final = "{namespace}-datalab"  # noqa: S105 - the name of one
_AWS: Final = "https://s3.amazonaws.com"
_ENDPOINTS: Final = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_S3_ENDPOINT")
_VARIABLES: Final = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_S3_FORCE_PATH_STYLE",
    *_ENDPOINTS,
)
_PATIENCE_SECONDS: Final = 5.0


def open_bucket(credentials: Credentials) -> Bucket:
    """Open it; nothing is dialled yet."""
    return Bucket(lambda: credentials, patience_seconds=_PATIENCE_SECONDS, connect_timeout_seconds=4.0)


def from_environment(
    uri: str, endpoint: str | None, environment: Mapping[str, str] = os.environ
) -> Credentials:
    """Give what opens ``s3://name`` by the variables that every S3 tool reads.

    Raises
    ------
    CliError
        The keys are not set, or the address is none.
    """
    name = bucket_name(uri)
    values = {key: environment[key] for key in _VARIABLES if environment.get(key)}
    if not {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} <= set(values):
        raise CliError(
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set: set them to the keys of the bucket, or leave"
            " --bucket out to use the workspace's Secret"
        )
    return _credentials(values, name, endpoint)


def from_workspace(cluster: Cluster, secret: str, endpoint: str | None) -> Credentials:
    """Give what the workspace's Secret opens.

    Raises
    ------
    ClusterError
        The Secret is not there, or may not be read.
    CredentialsError
        It holds no usable keys.
    """
    name = secret.format(namespace=cluster.namespace)
    try:
        values = cluster.secret(name)
    except ClusterError as error:
        raise ClusterError(
            f"the bucket's Secret {name} was not read: {error}; name another with --secret, or give --bucket"
            " s3://NAME and the AWS_* variables"
        ) from error
    return _credentials(values, cluster.namespace, endpoint)


def bucket_name(uri: str) -> str:
    """Give the name in ``s3://name``; the name alone is taken too."""
    parts = urlsplit(uri if "://" in uri else f"s3://{uri}")
    if parts.scheme != "s3" or not parts.netloc or parts.path.strip("/"):
        raise CliError(f"--bucket must look like s3://ws-alice, not {uri!r}")
    return parts.netloc


def _credentials(values: Mapping[str, str], bucket: str, endpoint: str | None) -> Credentials:
    chosen = dict(values)
    if endpoint:
        chosen = {key: value for key, value in values.items() if key not in _ENDPOINTS}
    hint = BucketHint(endpoint=endpoint or _AWS, bucket=bucket, force_path_style=bool(endpoint))
    return from_secret(chosen, hint)
