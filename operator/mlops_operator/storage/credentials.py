"""S3 credentials, read from a workspace's Secret: by the API, or mounted as a folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from mlops_operator.api.wire import BucketHint
from mlops_operator.errors import CredentialsError

# The first key that is there counts. The second forms are KServe's.
_ACCESS_KEY_ID = ("AWS_ACCESS_KEY_ID", "awsAccessKeyID")
_SECRET_ACCESS_KEY = ("AWS_SECRET_ACCESS_KEY", "awsSecretAccessKey")
_SESSION_TOKEN = ("AWS_SESSION_TOKEN", "awsSessionToken")
_ENDPOINT = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_S3_ENDPOINT")
_REGION = ("AWS_REGION", "AWS_DEFAULT_REGION")
_BUCKET = ("BUCKET",)
_PATH_STYLE = ("AWS_S3_FORCE_PATH_STYLE",)
_KEYS = (
    *_ACCESS_KEY_ID,
    *_SECRET_ACCESS_KEY,
    *_SESSION_TOKEN,
    *_ENDPOINT,
    *_REGION,
    *_BUCKET,
    *_PATH_STYLE,
)
_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})


@dataclass(frozen=True)
class Credentials:
    """A bucket and what opens it. The repr names neither secret nor token."""

    endpoint: str
    region: str
    bucket: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    force_path_style: bool = True


def from_secret(data: Mapping[str, str], hint: BucketHint) -> Credentials:
    """Read the decoded data of a Secret; ``hint`` fills in what it leaves out.

    Raises
    ------
    CredentialsError
        A key is missing or wrong; the message names the key, never a value that is secret.
    """
    values = {key: text for key in _KEYS if (text := data.get(key, "").strip())}
    return Credentials(
        endpoint=_endpoint(_first(values, _ENDPOINT) or hint.endpoint),
        region=_first(values, _REGION) or hint.region,
        bucket=_first(values, _BUCKET) or hint.bucket,
        access_key_id=_required(values, _ACCESS_KEY_ID),
        secret_access_key=_required(values, _SECRET_ACCESS_KEY),
        session_token=_first(values, _SESSION_TOKEN),
        force_path_style=_flag(values, _PATH_STYLE, default=hint.force_path_style),
    )


def from_directory(path: Path, hint: BucketHint) -> Credentials:
    """Read a Secret that is mounted as a folder.

    Raises
    ------
    CredentialsError
        The folder cannot be read, or a key is missing or wrong.
    """
    # The kubelet swaps the link ..data when the Secret changes: followed once, all files are of one version.
    root = (path / "..data").resolve() if (path / "..data").exists() else path
    try:
        data = {key: (root / key).read_text(encoding="utf-8") for key in _KEYS if (root / key).is_file()}
    except (OSError, UnicodeDecodeError) as error:
        raise CredentialsError(f"cannot read the S3 credentials in {path}: {type(error).__name__}") from error
    return from_secret(data, hint)


def _first(values: Mapping[str, str], keys: tuple[str, ...]) -> str | None:
    return next((values[key] for key in keys if key in values), None)


def _required(values: Mapping[str, str], keys: tuple[str, ...]) -> str:
    value = _first(values, keys)
    if value is None:
        raise CredentialsError(
            f"the Secret has no key {keys[0]}; add it (kubectl describe secret shows the keys)"
        )
    return value


def _endpoint(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise CredentialsError(
            f"the Secret's {_ENDPOINT[1]} must look like https://s3.example.org, without user and password"
        )
    return text.rstrip("/")


def _flag(values: Mapping[str, str], keys: tuple[str, ...], *, default: bool) -> bool:
    text = (_first(values, keys) or "").lower()
    if text and text not in _TRUE | _FALSE:
        raise CredentialsError(f"the Secret's {keys[0]} must be true or false, not {text!r}")
    return text in _TRUE if text else default
