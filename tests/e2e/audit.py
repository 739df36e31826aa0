"""The API server's audit log: who asked for what, and what was answered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OPERATOR = "system:serviceaccount:mlops-system:mlops-operator"


@dataclass(frozen=True)
class Call:
    """One answered request. ``namespace`` and ``name`` are empty where the request names none."""

    user: str
    verb: str
    group: str
    resource: str  # with its subresource: trainingruns/status
    namespace: str
    name: str
    code: int
    message: str = ""
    allowed: bool = True  # by RBAC, whatever quota and admission said after that


@dataclass(frozen=True)
class AuditLog:
    """All files of the log, oldest first."""

    folder: Path

    def calls(self, user: str | None = None) -> Iterator[Call]:
        for path in sorted(self.folder.glob("audit*.log"), key=lambda p: p.stat().st_mtime):
            with path.open(encoding="utf-8") as lines:
                for line in lines:
                    if not line.endswith("\n"):
                        continue  # it is being written
                    call = _call(json.loads(line))
                    if call and (user is None or call.user == user):
                        yield call


def _call(entry: dict[str, Any]) -> Call | None:
    reference = entry.get("objectRef")
    if not reference or entry.get("stage") not in {"ResponseComplete", "ResponseStarted"}:
        return None
    resource = reference["resource"]
    if reference.get("subresource"):
        resource += f"/{reference['subresource']}"
    return Call(
        user=entry["user"].get("username", ""),
        verb=entry["verb"],
        group=reference.get("apiGroup", ""),
        resource=resource,
        namespace=reference.get("namespace", ""),
        name=reference.get("name", ""),
        code=entry.get("responseStatus", {}).get("code", 0),
        message=entry.get("responseStatus", {}).get("message", ""),
        allowed=entry.get("annotations", {}).get("authorization.k8s.io/decision") == "allow",
    )
