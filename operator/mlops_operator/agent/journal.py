"""What was tracked, as an append-only file of JSON lines: a restarted sidecar reads it and goes on."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Journal:
    """An append-only file of JSON records; a record cut short by a crash is dropped when it is opened again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        self._size = sum(length for _, length in _lines(path, 0))
        if self._size < path.stat().st_size:
            os.truncate(path, self._size)

    @property
    def size_bytes(self) -> int:
        """Length up to the last whole record: where the next one begins."""
        return self._size

    def append(self, records: list[dict[str, Any]]) -> None:
        """Append records; they are with the kernel when this returns, so that a killed process loses none."""
        data = b"".join(json.dumps(record, separators=(",", ":")).encode() + b"\n" for record in records)
        with self._lock, self.path.open("ab", buffering=0) as file:
            file.write(data)
            self._size += len(data)

    def read(self, start: int = 0, end: int | None = None) -> Iterator[dict[str, Any]]:
        """Give the records that begin from byte ``start`` to before byte ``end``, one at a time."""
        position = start
        for line, length in _lines(self.path, start):
            if end is not None and position >= end:
                return
            position += length
            yield json.loads(line)

    def read_on(self, start: int) -> Iterator[tuple[dict[str, Any], int]]:
        """Give each record from byte ``start`` on, and where the next one begins."""
        position = start
        for line, length in _lines(self.path, start):
            position += length
            yield json.loads(line), position


def _lines(path: Path, start: int) -> Iterator[tuple[bytes, int]]:
    with path.open("rb") as file:
        file.seek(start)
        for line in file:
            if not line.endswith(b"\n"):
                return
            yield line, len(line)
