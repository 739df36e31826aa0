"""Content keys: the same inputs give the same name, in every clone."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

KEY_LENGTH = 16
IGNORED = frozenset({"__pycache__", ".mypy_cache", ".ruff_cache"})


def files_of(path: Path) -> Iterator[Path]:
    """Give the files of a tree in a stable order, or the one file; caches of tools are left out."""
    if path.is_file():
        yield path
        return
    for child in sorted(path.iterdir()):
        if child.name not in IGNORED:
            yield from files_of(child)


def digest_of(root: Path, *names: str) -> str:
    """Digest files and folders below a root by relative name, executable bit and bytes.

    Parameters
    ----------
    root
        What the names are relative to: where the tree lies does not enter the digest.
    names
        Files or folders below the root.

    Returns
    -------
    str
        64 hexadecimal digits of a sha256.

    Raises
    ------
    FileNotFoundError
        If one of the names does not exist.
    """
    total = hashlib.sha256()
    for name in names:
        for path in files_of(root / name):
            with path.open("rb") as stream:
                content = hashlib.file_digest(stream, "sha256").hexdigest()
            executable = bool(path.stat().st_mode & 0o100)
            total.update(f"{path.relative_to(root).as_posix()}\0{executable}\0{content}\n".encode())
    return total.hexdigest()


def content_key(inputs: Mapping[str, str]) -> str:
    """Give the short key of named inputs; their order does not matter.

    Parameters
    ----------
    inputs
        Input name → its text or its digest.
    """
    total = hashlib.sha256()
    for name, value in sorted(inputs.items()):
        total.update(f"{name}\0{len(value)}\0{value}\n".encode())
    return total.hexdigest()[:KEY_LENGTH]
