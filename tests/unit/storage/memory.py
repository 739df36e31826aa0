"""A bucket in memory: the rules of S3 that the storage functions rely on, and a place to stop between two calls."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mlops_operator.errors import AlreadyExists, IntegrityError, ObjectNotFound
from mlops_operator.storage.client import ObjectInfo


@dataclass(frozen=True)
class Stored:
    data: bytes
    sha256: str | None = None

    def info(self, key: str) -> ObjectInfo:
        etag = hashlib.md5(self.data, usedforsecurity=False).hexdigest()
        return ObjectInfo(key=key, size_bytes=len(self.data), etag=etag, sha256=self.sha256)


class MemoryBucket:
    """Strongly consistent; ``before(action, key)`` is called before every request and may raise or wait."""

    def __init__(self, before: Callable[[str, str], None] | None = None) -> None:
        self.objects: dict[str, Stored] = {}
        self.before = before or (lambda _action, _key: None)
        self.writes: list[str] = []
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        return "ws-alice"

    def get_bytes(self, key: str) -> bytes:
        self.before("get", key)
        if key not in self.objects:
            raise ObjectNotFound(f"no {key}")
        return self.objects[key].data

    def put_bytes(self, key: str, data: bytes) -> None:
        self.before("put", key)
        self.writes.append(key)
        self.objects[key] = Stored(data)

    def put_once(self, key: str, data: bytes) -> None:
        self.before("put_once", key)
        with self._lock:
            if key in self.objects:
                raise AlreadyExists(f"{key} exists already")
            self.writes.append(key)
            self.objects[key] = Stored(data)

    def upload(self, key: str, data: bytes) -> str:
        """Write a file as the agent does, and give its sha256."""
        sha256 = hashlib.sha256(data).hexdigest()
        self.objects[key] = Stored(data, sha256)
        return sha256

    def upload_file(
        self,
        path: Path,
        key: str,
        *,
        sha256: str,
        content_type: str | None = None,  # noqa: ARG002 - as the real one
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self.before("upload", key)
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != sha256:
            raise IntegrityError(f"{path} changed")
        self.objects[key] = Stored(data, sha256)
        if progress is not None:
            progress(len(data))

    def download_file(self, key: str, path: Path) -> str:
        data = self.get_bytes(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return hashlib.sha256(data).hexdigest()

    def head(self, key: str) -> ObjectInfo | None:
        self.before("head", key)
        stored = self.objects.get(key)
        return stored.info(key) if stored else None

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        self.before("list", prefix)
        return iter([self.objects[key].info(key) for key in sorted(self.objects) if key.startswith(prefix)])

    def list_folders(self, prefix: str) -> Iterator[str]:
        self.before("list_folders", prefix)
        rest = [key[len(prefix) :] for key in self.objects if key.startswith(prefix)]
        return iter(sorted({name.split("/", 1)[0] for name in rest if "/" in name}))

    def copy(self, source_key: str, target_key: str) -> None:
        self.before("copy", target_key)
        if source_key not in self.objects:
            raise ObjectNotFound(f"no {source_key}")
        self.writes.append(target_key)
        self.objects[target_key] = self.objects[source_key]

    def delete(self, key: str) -> None:
        self.before("delete", key)
        self.objects.pop(key, None)
