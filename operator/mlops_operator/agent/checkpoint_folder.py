"""What lies in the checkpoint folder: each file or folder directly below it is an entry; which of them are complete."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlops_operator.errors import IntegrityError
from mlops_operator.storage.layout import relative_path

MAX_FILES = 5_000  # of one checkpoint
_PASSED_OVER = re.compile(r"\..*|.*(\.tmp|\.part|\.partial|~)|tmp-.*", re.DOTALL)
_STEP = re.compile(r"step[=_-]?(\d{1,15})", re.IGNORECASE)
_NUMBER = re.compile(r"\d{1,15}")
_MAX_NAME = 255


class UnusableError(Exception):
    """An entry cannot be kept; the text says why."""


@dataclass(frozen=True)
class File:
    """A file of an entry; ``path`` is below the checkpoint folder."""

    path: str
    size_bytes: int
    changed_ns: int


@dataclass(frozen=True)
class Entry:
    """A file or folder directly below the checkpoint folder, as it was seen."""

    name: str
    marked: bool
    # Tells one state of it from another, within this process.
    state: int
    changed_ns: int


def look(folder: Path, markers: Sequence[str]) -> list[Entry]:
    """Give the entries that hold files, those changed last at the end. One that vanishes meanwhile is left out."""
    entries = []
    for name in _names(folder):
        try:
            files = list(list_files(folder, name))
        except OSError:
            continue
        if files:
            inside = {file.path.removeprefix(f"{name}/") for file in files if file.path != name}
            changed = max(file.changed_ns for file in files)
            entries.append(Entry(name, not inside.isdisjoint(markers), hash(tuple(files)), changed))
    return sorted(entries, key=lambda entry: (entry.changed_ns, step_of(entry.name) or 0, entry.name))


def _names(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as found:
            return [e.name for e in found if not e.is_symlink() and not _PASSED_OVER.fullmatch(e.name)]
    except OSError:
        return []  # there is none yet, or none that can be read


def list_files(folder: Path, name: str) -> Iterator[File]:
    """Give the files of an entry in the order of their paths. A link counts as the file of the folder that it leads to."""
    place = folder / name
    if place.is_file():
        yield _file(folder, place)
        return
    for parent, folders, names in os.walk(place):
        folders.sort()
        for file in sorted(names):
            path = Path(parent, file)
            if path.is_file() and (not path.is_symlink() or path.resolve().is_relative_to(folder.resolve())):
                yield _file(folder, path)


def _file(folder: Path, path: Path) -> File:
    found = path.stat()
    return File(str(path.relative_to(folder)), found.st_size, found.st_mtime_ns)


def check(files: Sequence[File], name: str) -> None:
    """See that an entry can be kept. Raises UnusableError."""
    if len(files) > MAX_FILES:
        raise UnusableError(f"it has {len(files)} files; at most {MAX_FILES} are kept")
    if len(name) > _MAX_NAME:
        raise UnusableError(f"its name has more than {_MAX_NAME} characters")
    for file in files:
        try:
            file.path.encode("utf-8")
            relative_path(file.path)
        except (UnicodeEncodeError, IntegrityError) as error:
            raise UnusableError(f"{file.path!r} cannot be a key of S3") from error
        if not file.path.isprintable():
            raise UnusableError(f"{file.path!r} cannot be a key of S3")


def step_of(name: str) -> int | None:
    """Give the step that a checkpoint's name tells: what follows ``step``, else its last number."""
    stem, dot, ending = name.rpartition(".")
    text = stem if dot and not ending.isdigit() else name
    named = _STEP.findall(text)
    numbers = named or _NUMBER.findall(text)
    return int(numbers[-1]) if numbers else None
