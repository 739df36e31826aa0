"""Which of our errors an S3 server's answer becomes."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    IncompleteReadError,
    NoCredentialsError,
    ReadTimeoutError,
    SSLError,
)

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
from mlops_operator.storage.failures import Target, as_storage_error

TARGET = Target("write", "http://s3:9000", "ws-alice", "mlops/x")


@pytest.mark.parametrize(
    ("code", "message", "status", "kind"),
    [
        ("AccessDenied", "", 403, StorageDenied),
        ("InvalidAccessKeyId", "", 400, StorageDenied),
        ("SignatureDoesNotMatch", "", 403, StorageDenied),
        ("403", "Forbidden", 403, StorageDenied),
        ("401", "", 401, StorageDenied),
        ("NoSuchKey", "", 404, ObjectNotFound),
        ("NoSuchBucket", "", 404, ObjectNotFound),
        ("404", "Not Found", 404, ObjectNotFound),
        ("InsufficientStorage", "No space left on device.", 507, StorageFull),
        ("XMinioStorageFull", "", 507, StorageFull),
        ("QuotaExceeded", "", 403, StorageFull),
        ("EntityTooLarge", "", 413, StorageFull),
        ("InternalError", "write: no space left on device", 500, StorageFull),
        ("PreconditionFailed", "", 412, AlreadyExists),
        ("ConditionalRequestConflict", "", 409, StorageUnavailable),
        ("SlowDown", "", 503, StorageUnavailable),
        ("InternalError", "", 500, StorageUnavailable),
        ("TooManyRequests", "", 429, StorageUnavailable),
        ("502", "Bad Gateway", 502, StorageUnavailable),
        ("BadDigest", "", 400, IntegrityError),
        ("InvalidBucketName", "", 400, StorageError),
    ],
)
def test_an_answer(code: str, message: str, status: int, kind: type[MlopsError]) -> None:
    answer: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    error = as_storage_error(ClientError(answer, "PutObject"), TARGET)
    assert type(error) is kind
    assert "cannot write s3://ws-alice/mlops/x at http://s3:9000" in str(error)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (EndpointConnectionError(endpoint_url="http://s3:9000"), StorageUnavailable),
        (ReadTimeoutError(endpoint_url="http://s3:9000"), StorageUnavailable),
        (IncompleteReadError(actual_bytes=1, expected_bytes=2), StorageUnavailable),
        (NoCredentialsError(), StorageError),
    ],
)
def test_no_answer(error: Any, kind: type[MlopsError]) -> None:
    assert type(as_storage_error(error, TARGET)) is kind


def test_a_certificate_that_nobody_vouches_for() -> None:
    said = (
        "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: unable to get local issuer certificate"
    )
    error = as_storage_error(SSLError(endpoint_url="https://s3:9000", error=OSError(said)), TARGET)
    assert type(error) is StorageUnavailable
    assert "certificate is not trusted" in str(error)
    assert "unable to get local issuer certificate" in str(error)
    assert "caBundle" in str(error)
    broken = as_storage_error(
        SSLError(endpoint_url="https://s3:9000", error=OSError("WRONG_VERSION_NUMBER")), TARGET
    )
    assert type(broken) is StorageUnavailable
    assert "not trusted" not in str(broken)
