"""The index of the runs that have ended, made so that ten thousand of them are listed with few requests.

Each record is a small object of its own below ``mlops/runs/index/new/``. Now and then what has gathered there is put
together into a page (JSON lines) below ``pages/``, and only then removed. Every key carries the digest of what it
holds, so nothing is ever overwritten by something else: two writers, or one that was killed half-way, leave the same
entry twice at worst. Of several entries of a run the newest counts. So there is nothing that a race could lose.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from pydantic import ValidationError

from mlops_operator.api.history import RunEntry
from mlops_operator.api.wire import RunIdentity
from mlops_operator.errors import IntegrityError, ObjectNotFound, StorageUnavailable
from mlops_operator.storage.digest import sha256_bytes
from mlops_operator.storage.documents import encode
from mlops_operator.storage.layout import INDEX_PREFIX, index_entry_key, index_page_key
from mlops_operator.storage.objects import Objects

# So many new entries become a page. Ten thousand runs are some eighty objects to read.
PAGE_ENTRIES = 128
_PARALLEL = 16
_TRIES = 5


class RunIndex:
    """Writes the indices of all workspaces; one instance a process, safe to use from several threads."""

    def __init__(self, page_entries: int = PAGE_ENTRIES) -> None:
        self._page_entries = page_entries
        self._lock = threading.Lock()
        self._added: Counter[str] = Counter()
        self._packing: set[str] = set()

    def add(self, bucket: Objects, entry: RunEntry) -> None:
        """Write an entry; the newest of a run counts."""
        data = encode(entry)
        run = RunIdentity(name=entry.name, namespace=entry.namespace, uid=entry.uid)
        bucket.put_bytes(index_entry_key(run, sha256_bytes(data)), data)
        if self._is_due(bucket.name):
            try:
                pack(bucket, self._page_entries)
            finally:
                with self._lock:
                    self._packing.discard(bucket.name)

    def _is_due(self, bucket: str) -> bool:
        """Count; whether this thread is to look for a page. A new process looks first after half of one."""
        with self._lock:
            self._added[bucket] += 1
            if self._added[bucket] < max(1, self._page_entries // 2) or bucket in self._packing:
                return False
            self._added[bucket] = 0
            self._packing.add(bucket)
            return True


def pack(bucket: Objects, page_entries: int) -> None:
    """Put the new entries together into a page, if there are enough of them."""
    keys = [found.key for found in bucket.list(f"{INDEX_PREFIX}new/")]
    if len(keys) < page_entries:
        return
    present = {key: data for key, data in zip(keys, _read_all(bucket, keys), strict=True) if data is not None}
    page = b"".join(data + b"\n" for data in present.values())
    bucket.put_bytes(index_page_key(sha256_bytes(page)), page)
    for key in present:
        bucket.delete(key)


def read_index(bucket: Objects) -> list[RunEntry]:
    """Read the newest entry of each run, in no order.

    Raises
    ------
    IntegrityError
        An object of the index is not what it should be.
    StorageUnavailable
        It changed all the time.
    """
    for _ in range(_TRIES):
        keys = [found.key for found in bucket.list(INDEX_PREFIX)]
        contents = _read_all(bucket, keys)
        # One that has gone since the listing is in a page that is newer than the listing.
        if None not in contents:
            return _newest(bucket, keys, contents)
    raise StorageUnavailable(
        f"the index s3://{bucket.name}/{INDEX_PREFIX} changed {_TRIES} times while it was read; try again"
    )


def _newest(bucket: Objects, keys: Iterable[str], contents: Iterable[bytes | None]) -> list[RunEntry]:
    newest: dict[str, RunEntry] = {}
    for key, data in zip(keys, contents, strict=True):
        for entry in _entries(bucket, key, data or b""):
            known = newest.get(entry.uid)
            if known is None or entry.order >= known.order:
                newest[entry.uid] = entry
    return list(newest.values())


def _read_all(bucket: Objects, keys: Iterable[str]) -> list[bytes | None]:
    def read(key: str) -> bytes | None:
        try:
            return bucket.get_bytes(key)
        except ObjectNotFound:
            return None

    with ThreadPoolExecutor(_PARALLEL) as threads:
        return list(threads.map(read, keys))


def _entries(bucket: Objects, key: str, data: bytes) -> list[RunEntry]:
    try:
        return [RunEntry.model_validate_json(line) for line in data.splitlines() if line]
    except ValidationError as error:
        raise IntegrityError(f"s3://{bucket.name}/{key} is no part of an index of runs: {error}") from error
