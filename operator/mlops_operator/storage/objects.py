"""What the functions of this package need of a bucket; `mlops_operator.storage.client.Bucket` is one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from mlops_operator.storage.client import ObjectInfo


class Objects(Protocol):
    """Objects under keys; methods as those of ``Bucket``, with the same errors."""

    @property
    def name(self) -> str: ...

    def get_bytes(self, key: str) -> bytes: ...

    def put_bytes(self, key: str, data: bytes) -> None: ...

    def put_once(self, key: str, data: bytes) -> None: ...

    def head(self, key: str) -> ObjectInfo | None: ...

    def list(self, prefix: str) -> Iterator[ObjectInfo]: ...

    def list_folders(self, prefix: str) -> Iterator[str]: ...

    def copy(self, source_key: str, target_key: str) -> None: ...

    def delete(self, key: str) -> None: ...
