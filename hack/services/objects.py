"""Kubernetes objects as dictionaries."""

from base64 import b64decode
from collections.abc import Mapping
from typing import Any


def secret(namespace: str, name: str, values: Mapping[str, str]) -> dict[str, Any]:
    """Make a Secret."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "stringData": dict(values),
    }


def decoded(found: Mapping[str, Any]) -> dict[str, str]:
    """Give the values of a Secret as text."""
    return {key: b64decode(value).decode() for key, value in found.get("data", {}).items()}
