"""A bucket: the few S3 operations that operator and agent need, with patience and with errors of our own.

boto3 is imported with the first request (it takes about 0.6 s), and its own retries are off: here a retry also
reads the credentials again, and ends after a time, not after a number.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_exponential_jitter

from mlops_operator.errors import (
    AlreadyExists,
    IntegrityError,
    MlopsError,
    ObjectNotFound,
    StorageDenied,
    StorageError,
    StorageUnavailable,
)
from mlops_operator.storage.credentials import Credentials
from mlops_operator.storage.transfer import (
    CompletedPart,
    CompletedParts,
    Download,
    Nowhere,
    Part,
    PartOfFile,
    PartOfObject,
    Progress,
    base64_sha256,
)

if TYPE_CHECKING:
    from mlops_operator.storage.session import Session

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_Futures = list[Future[CompletedPart]]  # inside the class, list is the method

_MIB = 1 << 20
# Parts are held in memory: four of them fit beside everything else into an agent of 128 MiB.
_PART_BYTES = 8 * _MIB
_PARTS_IN_MEMORY_BYTES = 4 * _PART_BYTES
_MAX_PARTS = 10_000  # of a multipart upload, S3
_COPY_PART_BYTES = (
    256 * _MIB
)  # a copy takes the server as long as its disks; one request stays below its timeout
_PARALLEL_COPIES = 4
_DOCUMENT_LIMIT_BYTES = 64 * _MIB
_CREDENTIALS_POLL_SECONDS = 2.0
_METADATA_SHA256 = "sha256"
_JSON = "application/json"
_BINARY = "application/octet-stream"


@dataclass(frozen=True)
class ObjectInfo:
    """An object. ``sha256`` (64 hexadecimal digits, from the metadata) is known only to ``head``."""

    key: str
    size_bytes: int
    etag: str
    sha256: str | None = None
    content_type: str | None = None
    version_id: str | None = None
    last_modified: datetime | None = None


class Bucket:
    """A bucket opened with the credentials that ``provide`` gives.

    Safe to use from several threads. Every method raises the errors of `mlops_operator.errors`:
    StorageDenied, StorageUnavailable (after ``patience_seconds`` without progress), StorageFull, ObjectNotFound,
    StorageError for what has no name, and CredentialsError from ``provide``.

    Parameters
    ----------
    provide
        Reads the credentials; asked before the first request, and again when the server refuses them.
    ca_bundle
        Path of a PEM file to trust instead of the default roots. Default: what AWS_CA_BUNDLE names, else certifi's.
    proxies
        Proxy by scheme, such as ``{"https": "http://proxy:3128"}``, and at ``no`` the hosts that are dialled without
        it, separated by commas. Default: the environment's.
    patience_seconds
        How long an unavailable server is waited for.
    denied_patience_seconds
        How long new credentials are waited for when the server refuses those that ``provide`` gives: a rolled-over
        Secret reaches a mounted volume after about a minute.
    read_timeout_seconds
        How long a request may stay without an answer.
    """

    def __init__(
        self,
        provide: Callable[[], Credentials],
        *,
        ca_bundle: str | None = None,
        proxies: Mapping[str, str] | None = None,
        patience_seconds: float = 20.0,
        denied_patience_seconds: float = 0.0,
        connect_timeout_seconds: float = 5.0,
        read_timeout_seconds: float = 60.0,
    ) -> None:
        self._provide = provide
        self._ca_bundle = ca_bundle
        self._proxies = dict(proxies) if proxies is not None else None
        self._patience_seconds = patience_seconds
        self._denied_patience_seconds = denied_patience_seconds
        self._connect_timeout_seconds = connect_timeout_seconds
        self._read_timeout_seconds = read_timeout_seconds
        self._lock = threading.Lock()
        self._session: Session | None = None

    def __repr__(self) -> str:
        return f"Bucket({self._session.credentials!r})" if self._session else "Bucket()"

    @property
    def name(self) -> str:
        """Name of the bucket, as the credentials say."""
        return self._current().credentials.bucket

    # --- small objects ----------------------------------------------------------------------------------------

    def get_bytes(self, key: str, *, max_bytes: int = _DOCUMENT_LIMIT_BYTES) -> bytes:
        """Read an object into memory. Raises StorageError where it is larger than ``max_bytes``."""

        def read(session: Session) -> bytes:
            answer = session.client.get_object(Bucket=session.bucket, Key=key)
            with closing(answer["Body"]) as body:
                if answer["ContentLength"] > max_bytes:
                    raise StorageError(
                        f"s3://{session.bucket}/{key} has {answer['ContentLength']} bytes; at most {max_bytes} are read"
                    )
                return body.read()

        return self._run("read", key, read)

    def put_bytes(self, key: str, data: bytes, *, content_type: str = _JSON) -> None:
        """Write an object, or replace it."""
        self._put(key, data, content_type, {})

    def put_once(self, key: str, data: bytes, *, content_type: str = _JSON) -> None:
        """Write an object that is never replaced.

        Raises
        ------
        AlreadyExists
            The key is taken, even by the same bytes.
        """
        failed_before = False

        def write(session: Session) -> None:
            nonlocal failed_before
            try:
                self._put_in(session, key, data, content_type, {"IfNoneMatch": "*"})
            except StorageUnavailable:
                failed_before = True
                raise

        try:
            self._run("write", key, write)
        except AlreadyExists:
            # A try without an answer may have been the one that wrote it.
            if failed_before and self.get_bytes(key) == data:
                return
            raise AlreadyExists(f"s3://{self.name}/{key} exists already and is never replaced") from None

    def head(self, key: str) -> ObjectInfo | None:
        """Size, ETag and recorded sha256 of an object; None where there is none."""

        def ask(session: Session) -> ObjectInfo:
            answer = session.client.head_object(Bucket=session.bucket, Key=key)
            return ObjectInfo(
                key=key,
                size_bytes=answer["ContentLength"],
                etag=answer["ETag"],
                sha256=answer["Metadata"].get(_METADATA_SHA256),
                content_type=answer.get("ContentType"),
                version_id=answer.get("VersionId"),
                last_modified=answer["LastModified"],
            )

        try:
            return self._run("look at", key, ask)
        except ObjectNotFound:
            return None

    def list(self, prefix: str, *, start_after: str = "") -> Iterator[ObjectInfo]:
        """Objects below a prefix, in the order of their keys; fetched page by page as they are asked for."""
        token: str | None = None
        while True:
            page = self._list_page(prefix, token, start_after=start_after)
            for entry in page.get("Contents", []):
                yield ObjectInfo(
                    key=entry["Key"],
                    size_bytes=entry["Size"],
                    etag=entry["ETag"],
                    last_modified=entry["LastModified"],
                )
            token = page.get("NextContinuationToken")
            if not page.get("IsTruncated") or token is None:
                return

    def list_folders(self, prefix: str) -> Iterator[str]:
        """Names directly below a prefix that have objects below them, without slashes."""
        token: str | None = None
        while True:
            page = self._list_page(prefix, token, delimiter="/")
            for entry in page.get("CommonPrefixes", []):
                yield entry["Prefix"][len(prefix) :].rstrip("/")
            token = page.get("NextContinuationToken")
            if not page.get("IsTruncated") or token is None:
                return

    def delete(self, key: str) -> None:
        """Remove an object; nothing happens where there is none."""

        def remove(session: Session) -> None:
            session.client.delete_object(Bucket=session.bucket, Key=key)

        self._run("delete", key, remove)

    # --- files ------------------------------------------------------------------------------------------------

    def upload_file(
        self,
        path: Path,
        key: str,
        *,
        sha256: str,
        content_type: str | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Write a file; its sha256 goes into the object's metadata, and the server checks the bytes by it.

        Parameters
        ----------
        sha256
            64 hexadecimal digits, as `mlops_operator.storage.digest.sha256_file` gives.
        progress
            Called with the number of bytes that have arrived since the last call, from several threads.

        Raises
        ------
        IntegrityError
            The file is not the one of this sha256: it changed.
        """
        report = progress or _ignore
        size_bytes = path.stat().st_size
        kind = content_type or _BINARY
        metadata = {"Metadata": {_METADATA_SHA256: sha256}}
        if size_bytes <= _PART_BYTES:
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() != sha256:
                raise IntegrityError(f"{path} changed while it was uploaded to {key}")
            self._put(key, data, kind, metadata)
            report(len(data))
            return
        part_bytes = max(_PART_BYTES, -(-size_bytes // _MAX_PARTS))
        workers = max(1, _PARTS_IN_MEMORY_BYTES // part_bytes - 1)
        options = {**metadata, "ContentType": kind, "ChecksumAlgorithm": "SHA256"}
        with path.open("rb") as stream:
            self._multipart(key, options, _parts(stream, part_bytes, key, sha256, report), workers)

    def download_file(
        self,
        key: str,
        path: Path,
        *,
        version_id: str | None = None,
        bucket: str | None = None,
        progress: Progress | None = None,
    ) -> str:
        """Read an object into a file, which appears under its name only when it is whole.

        A broken connection is taken up again where it broke. ``bucket`` is another one that the same credentials open.

        Returns
        -------
        str
            sha256 of the bytes as they came, 64 hexadecimal digits.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=path.parent, prefix=".download-", delete=False) as stream:
            temporary = Path(stream.name)
            try:
                download = Download(stream, key, version_id, bucket, progress or _ignore)
                self._run("read", key, download, bucket=bucket, progressed=lambda: download.progressed)
                stream.flush()
                temporary.chmod(0o644)
                temporary.replace(path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
        return download.sha256

    def digest_object(
        self, key: str, *, version_id: str | None = None, progress: Progress | None = None
    ) -> tuple[str, int]:
        """Read an object and keep nothing: its sha256 (64 hexadecimal digits) and its size in bytes."""
        download = Download(Nowhere(), key, version_id, None, progress or _ignore)
        self._run("read", key, download, progressed=lambda: download.progressed)
        return download.sha256, download.size_bytes

    def copy(self, source_key: str, target_key: str) -> None:
        """Copy an object within the bucket on the server's side, of any size, with its sha256 and content type."""
        source = self.head(source_key)
        if source is None:
            raise ObjectNotFound(f"there is no s3://{self.name}/{source_key} to copy to {target_key}")
        if source.size_bytes <= _COPY_PART_BYTES:
            self._copy_whole(source_key, target_key)
        else:
            self._copy_parts(source, target_key)

    # --- how --------------------------------------------------------------------------------------------------

    def _list_page(
        self, prefix: str, token: str | None, *, delimiter: str = "", start_after: str = ""
    ) -> Mapping[str, Any]:
        def ask(session: Session) -> Mapping[str, Any]:
            options: dict[str, Any] = {"ContinuationToken": token} if token else {"StartAfter": start_after}
            return session.client.list_objects_v2(
                Bucket=session.bucket, Prefix=prefix, Delimiter=delimiter, **options
            )

        return self._run("list", prefix, ask)

    def _put(self, key: str, data: bytes, content_type: str, options: Mapping[str, Any]) -> None:
        self._run("write", key, lambda session: self._put_in(session, key, data, content_type, options))

    @staticmethod
    def _put_in(
        session: Session, key: str, data: bytes, content_type: str, options: Mapping[str, Any]
    ) -> None:
        with session.errors("write", key):
            session.client.put_object(
                Bucket=session.bucket,
                Key=key,
                Body=data,
                ContentType=content_type,
                ChecksumSHA256=base64_sha256(data),
                **options,
            )

    def _copy_whole(self, source_key: str, target_key: str) -> None:
        def copy(session: Session) -> None:
            session.client.copy_object(
                Bucket=session.bucket,
                Key=target_key,
                CopySource={"Bucket": session.bucket, "Key": source_key},
                MetadataDirective="COPY",
            )

        self._run("copy to", target_key, copy)

    def _copy_parts(self, source: ObjectInfo, target_key: str) -> None:
        options = {
            "Metadata": {_METADATA_SHA256: source.sha256} if source.sha256 else {},
            "ContentType": source.content_type or _BINARY,
        }
        parts: Iterator[Part] = (
            PartOfObject(
                source.key,
                source.etag,
                target_key,
                first,
                min(first + _COPY_PART_BYTES, source.size_bytes) - 1,
            )
            for first in range(0, source.size_bytes, _COPY_PART_BYTES)
        )
        self._multipart(target_key, options, parts, _PARALLEL_COPIES)

    def _multipart(self, key: str, options: Mapping[str, Any], parts: Iterator[Part], workers: int) -> None:
        """Send parts, at most ``workers`` at once and one more in hand; leave nothing behind where one fails."""

        def create(session: Session) -> str:
            answer = session.client.create_multipart_upload(Bucket=session.bucket, Key=key, **options)
            return answer["UploadId"]

        upload_id = self._run("write", key, create)
        try:
            self._complete(key, upload_id, self._send(key, upload_id, parts, workers))
        except BaseException:
            self._abort(key, upload_id)
            raise

    def _send(self, key: str, upload_id: str, parts: Iterator[Part], workers: int) -> CompletedParts:
        slots = threading.Semaphore(workers)
        failed = threading.Event()

        def send(number: int, part: Part) -> CompletedPart:
            try:
                return self._run("write", key, lambda session: part(session, upload_id, number))
            except BaseException:
                failed.set()
                raise
            finally:
                slots.release()

        futures: _Futures = []
        with ThreadPoolExecutor(workers, thread_name_prefix="multipart") as pool:
            for number, part in enumerate(parts, start=1):
                slots.acquire()
                if failed.is_set():
                    break
                futures.append(pool.submit(send, number, part))
        return [future.result() for future in futures]

    def _complete(self, key: str, upload_id: str, parts: CompletedParts) -> None:
        tries = 0

        def complete(session: Session) -> None:
            nonlocal tries
            tries += 1
            try:
                with session.errors("write", key):
                    session.client.complete_multipart_upload(
                        Bucket=session.bucket,
                        Key=key,
                        UploadId=upload_id,
                        MultipartUpload={"Parts": parts},  # type: ignore[typeddict-item]
                    )
            except ObjectNotFound:
                # Completed by a try whose answer was lost: the upload is gone then, and the object is there.
                if tries == 1 or self.head(key) is None:
                    raise

        self._run("write", key, complete)

    def _abort(self, key: str, upload_id: str) -> None:
        session = self._current()
        try:
            with session.errors("abort the upload to", key):
                session.client.abort_multipart_upload(Bucket=session.bucket, Key=key, UploadId=upload_id)
        except MlopsError as error:
            # The error that led here matters more; the bucket's lifecycle rules clean such uploads up.
            _log.warning("parts of an upload stay behind: %s", error)

    def _run(
        self,
        action: str,
        key: str,
        operation: Callable[[Session], _T],
        *,
        bucket: str | None = None,
        progressed: Callable[[], float] | None = None,
    ) -> _T:
        """Run an operation until it works, is refused, or patience ends; progress renews it."""
        started = time.monotonic()

        def give_up(state: RetryCallState) -> bool:
            since = max(started, progressed()) if progressed else started
            wait = state.upcoming_sleep
            return time.monotonic() + wait - since > self._patience_seconds

        retrying = Retrying(
            retry=retry_if_exception_type(StorageUnavailable),
            wait=wait_exponential_jitter(multiplier=0.2, max=5.0, jitter=0.2),
            stop=give_up,
            reraise=True,
        )
        result: _T = retrying(self._authorised, action, key, operation, bucket)
        return result

    def _authorised(
        self, action: str, key: str, operation: Callable[[Session], _T], bucket: str | None
    ) -> _T:
        """Run an operation; where the credentials are refused, read them again and try once more."""
        started = time.monotonic()
        session = self._current()
        while True:
            try:
                with session.errors(action, key, bucket=bucket):
                    return operation(session)
            except StorageDenied:
                renewed = self._renew(session)
                if renewed is None:
                    remaining = started + self._denied_patience_seconds - time.monotonic()
                    if remaining <= 0:
                        raise
                    time.sleep(min(_CREDENTIALS_POLL_SECONDS, remaining))
                    continue
                session = renewed

    def _current(self) -> Session:
        with self._lock:
            if self._session is None:
                self._session = self._open(self._provide())
            return self._session

    def _renew(self, refused: Session) -> Session | None:
        """Give a session with other credentials than those that were refused; None where there are none."""
        with self._lock:
            if self._session is not None and self._session is not refused:
                return self._session
            credentials = self._provide()
            if credentials == refused.credentials:
                return None
            self._session = self._open(credentials)
            return self._session

    def _open(self, credentials: Credentials) -> Session:
        # Imported here: an agent that only answers its health probe does without.
        from mlops_operator.storage.session import open_session  # noqa: PLC0415

        return open_session(
            credentials,
            ca_bundle=self._ca_bundle,
            proxies=self._proxies,
            connect_timeout_seconds=self._connect_timeout_seconds,
            read_timeout_seconds=self._read_timeout_seconds,
        )


def _parts(stream: BinaryIO, part_bytes: int, key: str, sha256: str, report: Progress) -> Iterator[Part]:
    digest = hashlib.sha256()
    while data := stream.read(part_bytes):
        digest.update(data)
        yield PartOfFile(key, data, report)
    if digest.hexdigest() != sha256:
        raise IntegrityError(f"the file for {key} changed while it was uploaded")


def _ignore(_bytes: int) -> None:
    pass
