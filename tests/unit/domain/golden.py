"""Golden tests: a YAML file holds an input and what is expected of it. UPDATE_GOLDEN=1 writes what comes out now."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent / "golden"
Object = dict[str, Any]


def cases(prefix: str) -> list[str]:
    """Names of the golden files that begin so."""
    return sorted(path.stem for path in FOLDER.glob(f"{prefix}*.yaml"))


def check(name: str, compute: Callable[[Object], Any]) -> None:
    """Compare ``compute(input)`` with the expected result of a file."""
    path = FOLDER / f"{name}.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    actual = compute(content["input"])
    if os.environ.get("UPDATE_GOLDEN") == "1":
        content["expected"] = actual
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110)
        path.write_text(text, encoding="utf-8")
    assert actual == content.get("expected"), f"{path.name}: see what changed, then UPDATE_GOLDEN=1"
