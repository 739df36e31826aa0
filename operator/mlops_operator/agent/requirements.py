"""Packages that a run adds to its image: what stage-in prepares, and what the sidecar keeps for the next run."""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

from mlops_operator.agent.places import Places
from mlops_operator.api.wire import BIN_DIR, CODE_DIR, PACKAGES_DIR, RequirementsOrder
from mlops_operator.errors import MlopsError, ObjectNotFound, SourceNotFound
from mlops_operator.storage.client import Bucket
from mlops_operator.storage.digest import canonical_json, sha256_file
from mlops_operator.storage.layout import requirements_cache_key

_log = logging.getLogger(__name__)
_TOKENS = re.compile(r"[\s=,;'\"]+")
_MAX_NAMED = 20
_INSTALLER = Path(__file__).with_name("install_packages.py")


def prepare(order: RequirementsOrder | None, places: Places, bucket: Bucket) -> str | None:
    """Put the installer, the requirements and an earlier installation in place; give the key of the latter.

    Raises
    ------
    SourceNotFound
        The requirements file is not in the source.
    StorageError
        The bucket did not answer.
    """
    if order is None:
        return None
    folder = places.path(PACKAGES_DIR)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_INSTALLER, places.path(BIN_DIR) / _INSTALLER.name)
    if order.packages:
        (folder / "requirements.txt").write_text("\n".join([*order.packages, ""]), encoding="utf-8")
    key = requirements_cache_key(digest(order, places.path(CODE_DIR)))
    try:
        bucket.download_file(key, folder / "restored.tar.gz")
        _log.info("packages: an earlier installation is in the bucket: %s", key)
    except ObjectNotFound:
        _log.info("packages: no earlier installation in the bucket: %s", key)
    return key


def digest(order: RequirementsOrder, code: Path) -> str:
    """Digest what decides which packages are installed: the image's name, and the requirements with all that they name.

    That the image is still the one of that name is seen when the installation is taken (`install_packages`).
    """
    content: dict[str, object] = {"image": order.image, "packages": order.packages}
    if order.file is not None:
        content["files"] = {
            str(path.relative_to(code)): sha256_file(path) for path in _files(order.file, code)
        }
    return hashlib.sha256(canonical_json(content)).hexdigest()


def _files(name: str, code: Path) -> Iterator[Path]:
    """Give the requirements file, and every file of the source that it names: others, constraints, wheels, folders."""
    first = code / name
    if not first.resolve().is_relative_to(code.resolve()) or not first.is_file():
        there = sorted(path.name for path in code.iterdir())[:_MAX_NAMED]
        raise SourceNotFound(
            f"spec.requirements.file: {name} is no file of the source; at its top are: {', '.join(there) or 'none'}"
        )
    waiting, seen = [first], set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        yield path
        if path == first or path.suffix in (".txt", ".in"):
            waiting += _named(path, code)


def _named(path: Path, code: Path) -> Iterator[Path]:
    for token in _TOKENS.split(path.read_text(encoding="utf-8", errors="replace")):
        for base in (code, path.parent):
            found = (base / token.removeprefix("file:")).resolve()
            if not token or not found.is_relative_to(code.resolve()):
                continue
            found = code / found.relative_to(code.resolve())
            if found.is_dir():
                yield from (
                    file for file in sorted(found.rglob("*")) if file.is_file() and ".git" not in file.parts
                )
            elif found.is_file():
                yield found


def installed(places: Places) -> Path | None:
    """Give the list of what was installed, for the record; None: nothing was."""
    return _own_file(places.path(PACKAGES_DIR), "venv/installed.txt")


def _own_file(folder: Path, name: str) -> Path | None:
    """Give a file that the user's container wrote; None where there is none, or a link that leads elsewhere."""
    path = folder / name
    return path if path.is_file() and path.resolve() == folder.resolve() / name else None


class Keeper:
    """Uploads a new installation while the command runs; a failure costs the next run time, nothing else."""

    def __init__(self, bucket: Bucket, places: Places, key: str | None) -> None:
        self._bucket = bucket
        self._key = key
        self._folder = places.path(PACKAGES_DIR)
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, if there is something to keep."""
        archive = _own_file(self._folder, "save.tar.gz")
        if self._key is not None and archive is not None:
            work = (archive, self._key)
            self._thread = threading.Thread(target=self._upload, args=work, name="packages", daemon=True)
            self._thread.start()

    def wait(self, seconds: float) -> bool:
        """Wait until it is done; False: it is not yet."""
        if self._thread is None:
            return True
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _upload(self, archive: Path, key: str) -> None:
        try:
            self._bucket.upload_file(archive, key, sha256=sha256_file(archive))
            archive.unlink()
            _log.info("packages: kept for the next run: %s", key)
        except (MlopsError, OSError) as error:
            _log.warning("packages: not kept for the next run: %s", error)
