"""What is kept of a run: which file goes under which key of the attempt."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mlops_operator.agent.globs import matcher
from mlops_operator.agent.model_files import Selection
from mlops_operator.agent.places import Places
from mlops_operator.api.wire import SidecarOrder
from mlops_operator.errors import IntegrityError
from mlops_operator.storage.layout import relative_path

_log = logging.getLogger(__name__)
_MAX_NAMED = 5


@dataclass
class LeftOut:
    """Files that are not kept, by reason: numbers, and a few names for the message."""

    counts: dict[str, int] = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, name: str) -> None:
        self.counts[reason] = self.counts.get(reason, 0) + 1
        if len(named := self.names.setdefault(reason, [])) < _MAX_NAMED:
            named.append(name)

    def sentences(self) -> list[str]:
        return [
            f"{count} file(s) not kept, {reason}: {', '.join(self.names[reason])}"
            for reason, count in self.counts.items()
        ]


@dataclass
class Collection:
    """Files to keep: path below the attempt's prefix → place on the disk."""

    files: dict[str, str] = field(default_factory=dict)
    left_out: LeftOut = field(default_factory=LeftOut)


def collect(order: SidecarOrder, places: Places, model: Selection | None) -> Collection:
    """Give what is kept of a run.

    The model goes below ``artifacts/model/``, named artifacts below ``artifacts/<name>/``, the rest of the output
    folder below ``artifacts/output/``, but for checkpoints, which are kept as such. Links that lead out of working and output folder are not followed.
    """
    collection = Collection()
    working = places.path(order.working_dir)
    roots = (working.resolve(), places.output.resolve())
    taken: set[str] = set()

    def add(key: str, path: str) -> None:
        problem = _problem(key, path, roots)
        if problem:
            collection.left_out.add(problem, path)
            return
        collection.files[key] = path
        taken.add(path)

    for name, path in model.files if model else ():
        add(f"artifacts/model/{name}", str(path))
    for artifact in order.artifacts:
        found = False
        for name, place in _matching(working, artifact.path):
            add(f"artifacts/{artifact.name}/{name}", place)
            found = True
        if not found:
            collection.left_out.add(f"artifact {artifact.name!r} is not there", artifact.path)
    checkpoints = f"{places.path(order.checkpoints.folder)}/" if order.checkpoints is not None else None
    for place in _files(str(places.output)):
        if place not in taken and not (checkpoints and place.startswith(checkpoints)):
            add(f"artifacts/output/{os.path.relpath(place, places.output)}", place)
    return collection


def _matching(working: Path, glob: str) -> Iterator[tuple[str, str]]:
    """Give (path in the artifact, place): of a folder all that is in it, of a glob paths as below the working folder."""
    exact = working / glob
    if exact.is_dir():
        for path in _files(str(exact)):
            yield os.path.relpath(path, exact), path
    elif exact.exists():
        yield exact.name, str(exact)
    else:
        fits: Callable[[str], bool] = matcher([glob])
        for path in _files(str(working)):
            relative = os.path.relpath(path, working)
            if fits(relative):
                yield relative, path


def _files(folder: str) -> Iterator[str]:
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in [*folders, *names]:
            path = os.path.join(parent, name)  # noqa: PTH118 - 50,000 Paths take much memory
            if name in names or os.path.islink(path):  # noqa: PTH114
                yield path


def _problem(key: str, path: str, roots: tuple[Path, ...]) -> str | None:
    place = Path(path)
    if place.is_symlink():
        target = place.resolve()
        if not any(target.is_relative_to(root) for root in roots):
            return "a link that leads out of the run's folders, or to nothing"
        if target.is_dir():
            return "a link to a folder"
    if not place.is_file():
        return "no regular file"
    try:
        key.encode("utf-8")
        relative_path(key)
    except (UnicodeEncodeError, IntegrityError):
        return "a name that cannot be a key of S3"
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in key):  # noqa: PLR2004 - control characters
        return "a name that cannot be a key of S3"
    return None
