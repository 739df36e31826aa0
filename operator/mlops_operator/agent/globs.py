"""Globs over relative paths, where ``**`` matches folders."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache


def matcher(globs: Iterable[str] | None) -> Callable[[str], bool]:
    """Give a function that says whether a path fits one of the globs; all fit where there is None.

    ``*`` and ``?`` stay within a folder, ``**`` does not, ``[abc]`` is a set of characters, and a glob that names a
    folder means all that is in it.
    """
    if globs is None:
        return lambda _: True
    patterns = [_compile(glob) for glob in globs]
    return lambda path: any(pattern.match(path) for pattern in patterns)


@lru_cache(maxsize=256)
def _compile(glob: str) -> re.Pattern[str]:
    glob = glob.removeprefix("./").rstrip("/")
    tokens = re.findall(r"\*\*/|\*\*|\*|\?|\[!?[^\]]+\]|.", glob, re.DOTALL)
    parts = []
    for token in tokens:
        if token == "**/":  # noqa: S105 - a token of a pattern
            parts.append("(?:[^/]+/)*")
        elif token == "**":  # noqa: S105
            parts.append(".*")
        elif token == "*":  # noqa: S105
            parts.append("[^/]*")
        elif token == "?":  # noqa: S105
            parts.append("[^/]")
        elif len(token) > 1:
            inner = token[1:-1].replace("\\", "\\\\").replace("[", "\\[")
            parts.append(f"[^{inner[1:]}]" if inner.startswith("!") else f"[{inner}]")
        else:
            parts.append(re.escape(token))
    return re.compile(f"(?:{''.join(parts)})(?:/.*)?\\Z", re.DOTALL)
