"""One boto3 client with the credentials that it was made with. Importing this imports boto3 (about 0.6 s)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # typeshed lacks it

import boto3.session
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.loaders import Loader
from botocore.parsers import ResponseParserError

from mlops_operator.storage.credentials import Credentials
from mlops_operator.storage.failures import Target, as_storage_error

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CONNECTIONS = 16


@dataclass(frozen=True)
class Session:
    """A client, and whose it is."""

    credentials: Credentials
    client: S3Client

    @property
    def bucket(self) -> str:
        return self.credentials.bucket

    @contextmanager
    def errors(self, action: str, key: str, *, bucket: str | None = None) -> Iterator[None]:
        """Turn botocore's errors into ours, with what was done to which object where."""
        try:
            yield
        except (ClientError, BotoCoreError, ResponseParserError) as error:
            target = Target(action, self.credentials.endpoint, bucket or self.bucket, key)
            raise as_storage_error(error, target) from error


def open_session(
    credentials: Credentials,
    *,
    ca_bundle: str | None,
    proxies: Mapping[str, str] | None,
    connect_timeout_seconds: float,
    read_timeout_seconds: float,
) -> Session:
    """Make a client; nothing is dialled yet.

    Each gets a boto3 session of its own: to make clients of a shared one is not safe between threads. What they all
    read is shared: the description of S3 takes 12 MiB and 0.2 s to load.
    """
    if proxies is not None and _goes_past(credentials.endpoint, proxies):
        proxies = {}
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": "path" if credentials.force_path_style else "auto"},
        connect_timeout=connect_timeout_seconds,
        read_timeout=read_timeout_seconds,
        retries={"mode": "standard", "total_max_attempts": 1},
        max_pool_connections=_CONNECTIONS,
        proxies=_by_scheme(proxies) if proxies is not None else None,
        # Checksums are given by us where they are known; trailers are not understood by every server.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    base = botocore.session.Session()
    base.register_component("data_loader", _descriptions())
    session = boto3.session.Session(
        botocore_session=base,
        aws_access_key_id=credentials.access_key_id,
        aws_secret_access_key=credentials.secret_access_key,
        aws_session_token=credentials.session_token,
        region_name=credentials.region,
    )
    client = session.client("s3", endpoint_url=credentials.endpoint, config=config, verify=ca_bundle)
    return Session(credentials, client)


def _goes_past(endpoint: str, proxies: Mapping[str, str]) -> bool:
    # botocore asks this only for the proxies of the environment, not for those that it is given.
    return bool(proxy_bypass_environment(urlsplit(endpoint).netloc, dict(proxies)))


def _by_scheme(proxies: Mapping[str, str]) -> dict[str, str]:
    return {scheme: url for scheme, url in proxies.items() if scheme != "no"}


@cache
def _descriptions() -> Loader:
    """Give botocore's descriptions of services; what was loaded once is kept, and nobody changes it."""
    loader: Loader = botocore.session.Session().get_component("data_loader")
    return loader
