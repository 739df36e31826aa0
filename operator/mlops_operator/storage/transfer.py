"""Bytes on their way: a download that goes on where it broke, parts of an upload and of a copy."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from mlops_operator.storage.session import Session

_CHUNK_BYTES = 1 << 20

Progress = Callable[[int], None]
CompletedPart = dict[str, Any]
CompletedParts = list[CompletedPart]


def base64_sha256(data: bytes) -> str:
    """As the header x-amz-checksum-sha256 wants it."""
    return base64.b64encode(hashlib.sha256(data).digest()).decode("ascii")


class Part(Protocol):
    """A part of a multipart upload; sending it again replaces it."""

    def __call__(self, session: Session, upload_id: str, number: int) -> CompletedPart: ...


@dataclass(frozen=True)
class PartOfFile:
    """Bytes read from a file."""

    key: str
    data: bytes
    report: Progress

    def __call__(self, session: Session, upload_id: str, number: int) -> CompletedPart:
        checksum = base64_sha256(self.data)
        answer = session.client.upload_part(
            Bucket=session.bucket,
            Key=self.key,
            UploadId=upload_id,
            PartNumber=number,
            Body=self.data,
            ChecksumSHA256=checksum,
        )
        self.report(len(self.data))
        return {"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": checksum}


@dataclass(frozen=True)
class PartOfObject:
    """A range of another object, copied on the server's side."""

    source_key: str
    source_etag: str
    key: str
    first: int
    last: int

    def __call__(self, session: Session, upload_id: str, number: int) -> CompletedPart:
        answer = session.client.upload_part_copy(
            Bucket=session.bucket,
            Key=self.key,
            UploadId=upload_id,
            PartNumber=number,
            CopySource={"Bucket": session.bucket, "Key": self.source_key},
            CopySourceIfMatch=self.source_etag,
            CopySourceRange=f"bytes={self.first}-{self.last}",
        )
        return {"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]}


class Sink(Protocol):
    """Where a download goes: a binary file, or `Nowhere`."""

    def write(self, data: bytes, /) -> object: ...

    def seek(self, offset: int, /) -> object: ...

    def truncate(self) -> object: ...


class Nowhere:
    """Keeps nothing: for bytes that are only hashed."""

    def write(self, data: bytes, /) -> None: ...

    def seek(self, offset: int, /) -> None: ...

    def truncate(self) -> None: ...


class Download:
    """An object on its way into a stream, hashed as it comes; call it again to go on after an error."""

    def __init__(
        self, stream: Sink, key: str, version_id: str | None, bucket: str | None, report: Progress
    ) -> None:
        self._stream = stream
        self._key = key
        self._options = {"VersionId": version_id} if version_id else {}
        self._bucket = bucket
        self._report = report
        self._etag: str | None = None
        self._received = 0
        self._digest = hashlib.sha256()
        self.progressed = time.monotonic()

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    @property
    def size_bytes(self) -> int:
        return self._received

    def __call__(self, session: Session) -> None:
        options: dict[str, Any] = dict(self._options)
        if self._received:
            options["Range"] = f"bytes={self._received}-"
        answer = session.client.get_object(Bucket=self._bucket or session.bucket, Key=self._key, **options)
        with closing(
            answer["Body"]
        ) as body:  # as a context manager it gives the bare stream, with urllib3's errors
            whole = "ContentRange" not in answer
            if self._received and (whole or answer["ETag"] != self._etag):
                self._restart()
                if not whole:
                    self(session)
                    return
            self._etag = answer["ETag"]
            for chunk in body.iter_chunks(_CHUNK_BYTES):
                self._take(chunk)

    def _take(self, chunk: bytes) -> None:
        self._stream.write(chunk)
        self._digest.update(chunk)
        self._received += len(chunk)
        self.progressed = time.monotonic()
        self._report(len(chunk))

    def _restart(self) -> None:
        """Forget what came: the object was replaced meanwhile, or the server knows no ranges."""
        self._report(-self._received)
        self._stream.seek(0)
        self._stream.truncate()
        self._digest = hashlib.sha256()
        self._received = 0
