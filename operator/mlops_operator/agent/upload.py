"""Files on their way into the attempt's prefix: hashed, skipped where they are there already, verified."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mlops_operator.agent.parallel import in_parallel
from mlops_operator.api.wire import RunIdentity
from mlops_operator.errors import IntegrityError, StorageError
from mlops_operator.storage.client import Bucket
from mlops_operator.storage.digest import sha256_file
from mlops_operator.storage.layout import attempt_file_key

_log = logging.getLogger(__name__)
SMALL_BYTES = 1 << 20
SMALL_WORKERS = 8
_LOG_SECONDS = 10.0
_CONTENT_TYPES = {
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".log": "text/plain; charset=utf-8",
}

# Path below the attempt's prefix, size in bytes, sha256: tuples, as there may be 50,000 of them.
Entry = tuple[str, int, str]


class OutOfTime(Exception):  # noqa: N818
    """The pod is being deleted, and the time for uploads is over."""


@dataclass
class Uploader:
    """Uploads files of an attempt.

    Parameters
    ----------
    deadline
        Gives the time (of time.monotonic) at which to stop, or None.
    """

    bucket: Bucket
    run: RunIdentity
    deadline: Callable[[], float | None]
    entries: list[Entry] = field(default_factory=list)
    _there: dict[str, int] = field(default_factory=dict)
    _said: float = field(default_factory=time.monotonic)

    def look(self) -> None:
        """See what an earlier process of this attempt uploaded."""
        self._there = {info.key: info.size_bytes for info in self.bucket.list(self.run.attempt_prefix)}

    def upload(self, files: Mapping[str, str]) -> None:
        """Upload files (path below the attempt's prefix → place): small ones in parallel, large ones in parts.

        Raises
        ------
        OutOfTime
            Not all files were uploaded; ``entries`` has those that were.
        StorageError
            The bucket did not take a file.
        """
        in_parallel(self._upload, self._by_size(files, small=True), SMALL_WORKERS)
        in_parallel(self._upload, self._by_size(files, small=False), 1)

    def verify(self) -> None:
        """Compare what the bucket lists with what was uploaded. Raises IntegrityError."""
        sizes = {info.key: info.size_bytes for info in self.bucket.list(self.run.attempt_prefix)}
        for path, size, _ in self.entries:
            found = sizes.get(attempt_file_key(self.run, path))
            if found != size:
                raise IntegrityError(
                    f"{path} was uploaded with {size} bytes, but the bucket has {'none' if found is None else found}"
                )

    def _by_size(self, files: Mapping[str, str], *, small: bool) -> Iterator[tuple[str, Path]]:
        for path, place in files.items():
            source = Path(place)
            if (source.stat().st_size <= SMALL_BYTES) == small:
                deadline = self.deadline()
                if deadline is not None and time.monotonic() > deadline:
                    raise OutOfTime(f"{len(self.entries)} of {len(files)} files are uploaded")
                if time.monotonic() - self._said > _LOG_SECONDS:
                    self._said = time.monotonic()
                    _log.info("%d of %d files are uploaded", len(self.entries), len(files))
                yield path, source

    def _upload(self, file: tuple[str, Path]) -> None:
        path, source = file
        key = attempt_file_key(self.run, path)
        sha256, size = sha256_file(source), source.stat().st_size
        if not self._is_there(key, size, sha256):
            content_type = _CONTENT_TYPES.get(source.suffix.lower())
            self.bucket.upload_file(source, key, sha256=sha256, content_type=content_type)
        self.entries.append((path, size, sha256))

    def _is_there(self, key: str, size: int, sha256: str) -> bool:
        if self._there.get(key) != size:
            return False
        info = self.bucket.head(key)
        return info is not None and (info.size_bytes, info.sha256) == (size, sha256)


class HistoryUploader:
    """Writes the metrics logged so far as parts, so that they outlive the pod."""

    def __init__(
        self, bucket: Bucket, run: RunIdentity, render: Callable[[], tuple[bytes, int, int] | None]
    ) -> None:
        self._bucket = bucket
        self._run = run
        self._render = render

    def upload(self) -> int | None:
        """Write the next part; give where it ends in the journal, None where there is nothing new."""
        part = self._render()
        if part is None:
            return None
        data, start, end = part
        key = attempt_file_key(self._run, f"metrics/part-{start:012d}.jsonl")
        try:
            self._bucket.put_bytes(key, data, content_type=_CONTENT_TYPES[".jsonl"])
        except StorageError as error:
            _log.warning("the metrics are not in the bucket yet: %s", error)
            return None
        return end
