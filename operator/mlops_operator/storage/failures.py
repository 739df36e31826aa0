"""What an S3 server or the way to it answered, as one of our errors.

Servers differ in the words: AWS, MinIO, Ceph, versitygw.
"""

from __future__ import annotations

from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, IncompleteReadError, SSLError
from botocore.exceptions import ConnectionError as BotoConnectionError
from botocore.parsers import ResponseParserError

from mlops_operator.errors import (
    AlreadyExists,
    IntegrityError,
    MlopsError,
    ObjectNotFound,
    StorageDenied,
    StorageError,
    StorageFull,
    StorageUnavailable,
)

_FULL = frozenset(
    {
        "EntityTooLarge",
        "InsufficientCapacity",
        "InsufficientStorage",
        "QuotaExceeded",
        "StorageFull",
        "XMinioAdminBucketQuotaExceeded",
        "XMinioStorageFull",
    }
)
_FULL_WORDS = ("no space left", "disk quota exceeded", "quota exceeded", "storage full")
_DENIED = frozenset(
    {
        "AccessDenied",
        "AllAccessDisabled",
        "ExpiredToken",
        "InvalidAccessKeyId",
        "InvalidToken",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "XAdminUserNotFound",  # versitygw, with 404: an access key that it does not know (any more)
    }
)
_NOT_FOUND = frozenset({"NoSuchKey", "NoSuchBucket", "NoSuchVersion", "NotFound", "404"})
_COME_AGAIN = frozenset(
    {
        "ConditionalRequestConflict",
        "OperationAborted",
        "RequestTimeout",
        "RequestTimeoutException",
        "SlowDown",
        "ServiceUnavailable",
        "Throttling",
        "ThrottlingException",
        "TooManyRequests",
        "XMinioServerNotInitialized",
    }
)
_WRONG_BYTES = frozenset(
    {
        "BadDigest",
        "IncompleteBody",
        "InvalidDigest",
        "XAmzContentChecksumMismatch",
        "XAmzContentSHA256Mismatch",
    }
)
_NO_WHOLE_ANSWER = (BotoConnectionError, HTTPClientError, IncompleteReadError, ResponseParserError)
_UNTRUSTED = "CERTIFICATE_VERIFY_FAILED"  # OpenSSL's name: unknown authority, wrong host, expired
_HTTP_UNAUTHORIZED = 401
_HTTP_FORBIDDEN = 403
_HTTP_NOT_FOUND = 404
_HTTP_PRECONDITION_FAILED = 412
_HTTP_TOO_MANY_REQUESTS = 429
_HTTP_SERVER_ERROR = 500
_HTTP_INSUFFICIENT_STORAGE = 507


@dataclass(frozen=True)
class Target:
    """Of what an error speaks."""

    action: str
    endpoint: str
    bucket: str
    key: str

    def __str__(self) -> str:
        return f"cannot {self.action} s3://{self.bucket}/{self.key} at {self.endpoint}"


def as_storage_error(error: ClientError | BotoCoreError | ResponseParserError, target: Target) -> MlopsError:
    """Give our error for botocore's; the caller raises it from the original."""
    if isinstance(error, ClientError):
        return _of_answer(error, target)
    if isinstance(error, SSLError) and _UNTRUSTED in str(error):
        said = _reason(error.kwargs["error"])
        return StorageUnavailable(
            f"{target}: the server's certificate is not trusted ({said}); renew it, or let the platform add the authority"
            " that signed it to the operator's configuration (caBundle)"
        )
    if isinstance(error, _NO_WHOLE_ANSWER):
        return StorageUnavailable(
            f"{target}: no whole answer came ({_reason(error)}); check that it runs and that the way to it is open"
        )
    return StorageError(f"{target}: {_reason(error)}")


def _of_answer(error: ClientError, target: Target) -> MlopsError:
    details = error.response.get("Error", {})
    code = str(details.get("Code", ""))
    message = str(details.get("Message", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    answer = f"{target}: {code or 'no code'}: {message} (HTTP {status})" if message else f"{target}: {code}"
    kind, advice = _kind(code, message.lower(), status)
    return kind(f"{answer}{advice}")


def _kind(code: str, words: str, status: int) -> tuple[type[MlopsError], str]:  # noqa: PLR0911 - a table
    # A full disk comes first: Ceph says it with 403, others with 500.
    if code in _FULL or status == _HTTP_INSUFFICIENT_STORAGE or any(word in words for word in _FULL_WORDS):
        return StorageFull, "; free space, or ask for a larger quota"
    if code not in _DENIED and (code in _NOT_FOUND or status == _HTTP_NOT_FOUND):
        return ObjectNotFound, ""
    if code in _WRONG_BYTES:
        return IntegrityError, "; the bytes changed on the way, or while they were read"
    if code in _COME_AGAIN or status == _HTTP_TOO_MANY_REQUESTS:
        return StorageUnavailable, "; it is tried again later"
    if code in _DENIED or status in (_HTTP_UNAUTHORIZED, _HTTP_FORBIDDEN):
        return StorageDenied, "; check the credentials in the Secret and the rights that they have"
    if status == _HTTP_PRECONDITION_FAILED:
        return AlreadyExists, ""
    if status >= _HTTP_SERVER_ERROR:
        return StorageUnavailable, "; it is tried again later"
    return StorageError, ""


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())
