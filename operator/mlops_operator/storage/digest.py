"""Digests: of a file, and of a set of files, the same wherever the bytes lie."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from mlops_operator.api.wire import FileEntry
from mlops_operator.errors import IntegrityError

_CHUNK_BYTES = 1 << 20
_SHA256_MULTIHASH = "1220"  # function sha2-256, 32 bytes long


def canonical_json(value: object) -> bytes:
    """Give the one JSON text of a value: keys sorted, no blanks, UTF-8.

    Raises
    ------
    ValueError
        The value holds NaN or an infinity, which JSON has no word for.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8")


def sha256_bytes(data: bytes) -> str:
    """64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """64 hexadecimal digits, in bounded memory."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def files_digest(entries: Iterable[FileEntry]) -> str:
    """Digest of a set of files: ``sha256:`` and 64 hexadecimal digits.

    It is the sha256 of the canonical JSON list of ``[path, size, sha256]``, sorted by path. Where the bytes come
    from does not enter.

    Raises
    ------
    IntegrityError
        A path stands there twice.
    """
    rows = sorted([entry.path, entry.size_bytes, entry.sha256] for entry in entries)
    for before, after in pairwise(rows):
        if before[0] == after[0]:
            raise IntegrityError(f"{before[0]!r} stands twice in a list of files")
    return f"sha256:{sha256_bytes(canonical_json(rows))}"


def document_digest(data: bytes) -> str:
    """Digest of a document as it lies in the bucket, such as a manifest: ``sha256:`` and 64 hexadecimal digits."""
    return f"sha256:{sha256_bytes(data)}"


def multihash(sha256: str) -> str:
    """As STAC's ``file:checksum`` wants it."""
    return f"{_SHA256_MULTIHASH}{sha256}"
