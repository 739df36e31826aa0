"""An error as the cause that the operator tells the user."""

from __future__ import annotations

import errno
import logging
from pathlib import Path

from mlops_operator import errors
from mlops_operator.api.wire import Cause, TerminationReport

_log = logging.getLogger(__name__)
_MAX_MESSAGE_BYTES = 3500  # of a termination log's 4096
_CAUSES: tuple[tuple[type[Exception], Cause], ...] = (
    (errors.IntegrityError, "DatasetChanged"),
    (errors.SourceNotFound, "SourceNotFound"),
    (errors.DiskLimitExceeded, "DiskLimitExceeded"),
    (errors.StorageDenied, "StorageDenied"),
    (errors.CredentialsError, "StorageDenied"),
    (errors.StorageUnavailable, "StorageUnavailable"),
    (errors.StorageFull, "StorageFull"),
    (errors.ObjectNotFound, "SourceNotFound"),
)


def report_of(error: BaseException) -> TerminationReport:
    """Give cause and message of an error; what is unknown is an InternalError with what is known."""
    for kind, cause in _CAUSES:
        if isinstance(error, kind):
            return TerminationReport(cause=cause, message=shorten(str(error)))
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return TerminationReport(
            cause="StorageFull",
            message=f"the pod's disk is full ({error.filename or error.strerror}): ask for a node with more ephemeral"
            " storage, or download less (datasets[].include)",
        )
    return TerminationReport(cause="InternalError", message=shorten(f"{type(error).__name__}: {error}"))


def write_report(path: Path, report: TerminationReport) -> None:
    """Write a report where the kubelet reads it; a container without such a file still ends with its exit code."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(report.model_dump_json(by_alias=True), encoding="utf-8")
    except OSError as error:
        _log.warning("cannot write %s: %s", path, error)


def shorten(text: str, limit: int = _MAX_MESSAGE_BYTES) -> str:
    """Cut a text to a number of bytes."""
    data = text.encode("utf-8", "replace")
    return text if len(data) <= limit else data[: limit - 3].decode("utf-8", "ignore") + "…"
