"""Files of JSON lines that the training appends to, read as they grow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mlops_operator.agent.tracking import Point, Tracking, now_ms

_CHUNK_BYTES = 256 * 1024
_MAX_LINE_BYTES = 64 * 1024
_BATCH = 1000
_MAX_INTEGER = 2**63 - 1


@dataclass(frozen=True)
class Line:
    """A line of a file, without its end; ``end`` is where the next one begins. None: it was longer than allowed."""

    data: bytes | None
    end: int


class JsonLinesFollower:
    """Follows one file.

    Parameters
    ----------
    name
        What the file is called in messages and in the journal.
    path
        The file; it may appear later, and may be started anew.
    """

    def __init__(self, name: str, path: Path, tracking: Tracking) -> None:
        self._name = name
        self._path = path
        self._tracking = tracking
        self._offset = tracking.offsets.get(name, 0)
        self._inode: int | None = None
        self._lines = 0
        self._bad = 0

    def poll(self, *, final: bool = False) -> None:
        """Take in what was appended; ``final``: also a last line without its end."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return
        except OSError as error:
            self._tracking.warn(f"{self._name} cannot be read: {error.strerror}")
            return
        if found.st_size < self._offset or self._inode not in (None, found.st_ino):
            self._offset = 0  # cut, or another file under the name
        self._inode = found.st_ino
        batch: list[Point] = []
        end = self._offset
        for line in read_lines(self._path, self._offset, final=final):
            batch.extend(self._points(line.data))
            end = line.end
            if len(batch) >= _BATCH:
                self._tracking.follow(self._name, batch, end)
                self._offset, batch = end, []
        if end != self._offset:
            self._tracking.follow(self._name, batch, end)
            self._offset = end

    def _points(self, data: bytes | None) -> list[Point]:
        if data is not None and not data.strip():
            return []
        self._lines += 1
        points = None if data is None else parse_line(data, self._lines - 1, now_ms())
        if points is None:
            self._bad += 1
            start = "a line that is too long" if data is None else repr(data[:80].decode("utf-8", "replace"))
            self._tracking.warn(
                f"{self._name}: line {self._lines} is not a JSON object, it is left out: {start}"
            )
            return []
        return points


def parse_line(data: bytes, default_step: int, timestamp_ms: int) -> list[Point] | None:
    """Give the metrics of a line: every number but ``step``. None: it is not a JSON object.

    NaN and Infinity are numbers. Without a usable step, ``default_step`` is it.
    """
    try:
        record = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict):
        return None
    step = _as_step(record.get("step"), default_step)
    points = []
    for name, value in record.items():
        if name != "step" and isinstance(value, int | float) and not isinstance(value, bool):
            points.append(Point(name, _as_float(value), step, timestamp_ms))
    return points


def _as_step(value: object, default: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return default
    number = _as_float(value)
    if number != number or not abs(number) < _MAX_INTEGER:  # noqa: PLR0124 - NaN
        return default
    return int(value)


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def read_lines(path: Path, offset: int, *, final: bool = False) -> Iterator[Line]:
    """Give the whole lines of a file from ``offset`` on, in bounded memory.

    A line that is too long comes as None once its end is there; one without an end only if ``final``.
    """
    with path.open("rb") as file:
        file.seek(offset)
        pending = b""
        too_long = False
        while chunk := file.read(_CHUNK_BYTES):
            pieces = (pending + chunk).split(b"\n")
            pending = pieces.pop()
            for piece in pieces:
                offset += len(piece) + 1
                yield Line(None if too_long or len(piece) > _MAX_LINE_BYTES else piece, offset)
                too_long = False
            if len(pending) > _MAX_LINE_BYTES:
                offset += len(pending)
                pending, too_long = b"", True
        if final and (pending or too_long):
            yield Line(None if too_long else pending, offset + len(pending))
