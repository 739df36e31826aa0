"""Folders that the training writes TensorBoard's event files to."""

from __future__ import annotations

import glob
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from mlops_operator.agent.follow.event_file import NotAnEventFileError, Record, Scalar, read_records
from mlops_operator.agent.tracking import Point, Tracking

_MARK = "tfevents"
_MAX_FILES = 1000
_MAX_FOLDERS = 100
_BATCH = 1000
_LOOK_SECONDS = 5.0
_MAX_STEP = 2**63 - 1


class TensorBoardFollower:
    """Follows every event file in some folders and below.

    A scalar in the folder itself has its tag for a name; one in a folder below has that folder before it, as in
    ``validation/epoch_loss``.

    Parameters
    ----------
    patterns
        Absolute globs of the folders; they may appear later.
    """

    def __init__(self, patterns: Iterable[str], tracking: Tracking) -> None:
        self._patterns = tuple(patterns)
        self._tracking = tracking
        self._files: dict[Path, _EventFile] = {}
        self._looked: float | None = None

    def poll(self, *, final: bool = False) -> None:
        """Take in what was appended; ``final``: what is not whole now never will be."""
        if final or self._looked is None or time.monotonic() - self._looked >= _LOOK_SECONDS:
            self._look()
            self._looked = time.monotonic()
        for file in self._files.values():
            file.poll(final=final)

    def _look(self) -> None:
        for path, prefix in self._found():
            if path in self._files:
                continue
            if len(self._files) >= _MAX_FILES:
                self._tracking.warn(
                    f"TensorBoard: only the first {_MAX_FILES} event files are followed; {path.name} is not"
                )
                return
            self._files[path] = _EventFile(path, prefix, self._tracking)

    def _found(self) -> Iterator[tuple[Path, str]]:
        for folder in (found for pattern in self._patterns for found in folders_of(pattern)):
            for parent, folders, names in os.walk(folder):
                folders.sort()
                prefix = os.path.relpath(parent, folder)
                for name in sorted(names):
                    if _MARK in name:
                        yield Path(parent, name), "" if prefix == "." else f"{prefix}/"


def folders_of(pattern: str) -> list[Path]:
    """Give the folders that fit a glob now, in order."""
    found = sorted(glob.glob(pattern, recursive=True))[:_MAX_FOLDERS]  # noqa: PTH207 - of an absolute pattern
    return [path for path in map(Path, found) if path.is_dir()]


class _EventFile:
    def __init__(self, path: Path, prefix: str, tracking: Tracking) -> None:
        self._path = path
        self._prefix = prefix
        self._tracking = tracking
        self._offset = tracking.offsets.get(str(path), 0)
        self._plugins: dict[str, str] = {}
        self._broken = False
        if self._offset:
            self._learn_plugins()

    def _learn_plugins(self) -> None:
        """Read what a process before this one knew once more: tags say what they are only at first."""
        try:
            for record in read_records(self._path, 0, self._plugins):
                if record.end >= self._offset:
                    return
        except (OSError, NotAnEventFileError):
            return

    def poll(self, *, final: bool) -> None:
        if self._broken:
            return
        try:
            size = self._path.stat().st_size
            if size < self._offset:
                self._offset = 0
            self._read()
        except FileNotFoundError:
            return
        except OSError as error:
            self._tracking.warn(f"{self._path.name} cannot be read: {error.strerror}")
        except NotAnEventFileError as error:
            self._broken = True
            self._tracking.warn(f"{self._path.name} is not followed any further: {error}")
        else:
            if final and self._offset < size:
                self._tracking.warn(
                    f"{self._path.name}: the last record was not written whole and is left out"
                )

    def _read(self) -> None:
        batch: list[Point] = []
        end = self._offset
        for record in read_records(self._path, self._offset, self._plugins):
            batch.extend(self._points(record))
            end = record.end
            if len(batch) >= _BATCH:
                self._tracking.follow(str(self._path), batch, end)
                self._offset, batch = end, []
        if batch:
            self._tracking.follow(str(self._path), batch, end)
        self._offset = end

    def _points(self, record: Record) -> Iterator[Point]:
        for scalar in record.scalars:
            yield Point(self._prefix + scalar.tag, scalar.value, _step(scalar), _milliseconds(scalar))


def _step(scalar: Scalar) -> int:
    return scalar.step if abs(scalar.step) < _MAX_STEP else 0


def _milliseconds(scalar: Scalar) -> int:
    """Give the time; a writer may have written any number."""
    seconds = scalar.wall_time
    return int(seconds * 1000) if 0 <= seconds < 2**40 else 0
