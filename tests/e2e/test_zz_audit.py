"""What the whole suite left in the audit log: the operator has every right that it uses, and no other."""

from __future__ import annotations

import math
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.e2e.audit import OPERATOR, AuditLog, Call
from tests.e2e.workspace import TRAIN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.kube import Kube, Object
    from tests.e2e.workspace import Workspace

pytestmark = pytest.mark.disruptive

# The workspaces of the tests that take rights of the operator away.
REFUSED_ON_PURPOSE = ("ws-not-permitted-", "ws-quota-exceeded-")

Right = tuple[str, str, str, str]  # scope, group, resource, verb
WORKSPACE_ROLE = Path(__file__).resolve().parents[2] / "manifests" / "components" / "workspace" / "role.yaml"


def test_an_uneventful_run_costs_few_calls(workspace: Workspace, audit: AuditLog) -> None:
    workspace.run("frugal", TRAIN, outputs={"model": {"name": "frugal-model"}})
    run = workspace.succeeded("frugal")
    workspace.until_run("frugal", lambda r: r["status"].get("model", {}).get("name"))
    calls = [c for c in audit.calls(OPERATOR) if c.namespace == workspace.name]
    jobs = [c for c in calls if (c.resource, c.verb) == ("jobs", "create")]
    status = [c for c in calls if c.resource == "trainingruns/status" and c.name == "frugal"]
    print(f"Job creates: {len(jobs)}; status writes, live metrics included: {len(status)}")
    assert [c.code for c in jobs] == [201]
    # Six, and one each ten seconds for live metrics.
    assert len(status) <= 6 + math.ceil(_seconds(run) / 10), status


def _seconds(run: Object) -> float:
    created, ended = run["metadata"]["creationTimestamp"], run["status"]["completionTime"]
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(created)).total_seconds()


def test_the_operator_was_never_refused(audit: AuditLog) -> None:
    """But in a namespace that is being deleted, or that is no workspace: nobody granted anything there."""
    deleted: set[str] = set()
    workspaces = {
        c.namespace for c in audit.calls() if c.resource == "rolebindings" and c.code < HTTPStatus.BAD_REQUEST
    }
    refused = set()
    for call in audit.calls():
        if (call.verb, call.resource) == ("delete", "namespaces"):
            deleted.add(call.name)
        elif (
            call.namespace in deleted
            or call.namespace.startswith(REFUSED_ON_PURPOSE)
            or (call.namespace and call.namespace not in workspaces)
        ):
            continue
        elif call.user == OPERATOR and not call.allowed:
            refused.add((call.verb, call.group, call.resource, call.namespace, call.message))
    assert not refused


def test_no_permission_is_unused(audit: AuditLog, kube: Kube) -> None:
    used = {right for call in audit.calls(OPERATOR) if call.allowed for right in _rights(call)}
    granted = set(_granted(kube))
    assert granted
    assert sorted(granted - used) == []


def _rights(call: Call) -> Iterator[Right]:
    """A call may be allowed by a right in its namespace or by one in the cluster."""
    if call.namespace:
        yield (
            call.namespace if call.namespace == "mlops-system" else "workspace",
            call.group,
            call.resource,
            call.verb,
        )
    yield ("cluster", call.group, call.resource, call.verb)


def _granted(kube: Kube) -> Iterator[Right]:
    base = "/apis/rbac.authorization.k8s.io/v1"
    for name in ("mlops-operator", "mlops-zones"):
        yield from _of_rules("cluster", kube.request("GET", f"{base}/clusterroles/{name}"))
    for granted in yaml.safe_load_all(WORKSPACE_ROLE.read_text()):
        yield from _of_rules("workspace", granted)
    for role in kube.list("Role", "mlops-system"):
        yield from _of_rules("mlops-system", role)


def _of_rules(scope: str, role: dict[str, Any]) -> Iterator[Right]:
    for rule in role.get("rules", []):
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    yield scope, group, resource, verb
