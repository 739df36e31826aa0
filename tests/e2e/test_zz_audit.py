"""What the whole suite left in the audit log: the operator has every right that it uses, and no other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.e2e.audit import OPERATOR, AuditLog, Call
from tests.e2e.workspace import TRAIN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.kube import Kube
    from tests.e2e.workspace import Workspace

Right = tuple[str, str, str, str]  # scope, group, resource, verb
WORKSPACE_ROLE = "mlops-operator-workspace"


def test_an_uneventful_run_costs_few_calls(workspace: Workspace, audit: AuditLog) -> None:
    workspace.run("frugal", TRAIN, outputs={"model": {"name": "frugal-model"}})
    workspace.succeeded("frugal")
    workspace.until_run("frugal", lambda r: r["status"].get("model", {}).get("name"))
    calls = [c for c in audit.calls(OPERATOR) if c.namespace == workspace.name]
    jobs = [c for c in calls if (c.resource, c.verb) == ("jobs", "create")]
    status = [c for c in calls if c.resource == "trainingruns/status" and c.name == "frugal"]
    print(f"Job creates: {len(jobs)}; status writes, live metrics included: {len(status)}")
    assert [c.code for c in jobs] == [201]
    # The run lasts less than ten seconds, so live metrics add one write at most.
    assert len(status) <= 7, status


def test_the_operator_was_never_refused(audit: AuditLog, refused_on_purpose: set[str]) -> None:
    refused = {
        (c.verb, c.group, c.resource, c.namespace)
        for c in audit.calls(OPERATOR)
        if c.code == 403 and c.namespace not in refused_on_purpose
    }
    assert not refused


def test_no_permission_is_unused(audit: AuditLog, kube: Kube) -> None:
    used = {right for call in audit.calls(OPERATOR) if call.code < 400 or call.code in {404, 409} for right in _rights(call)}
    granted = set(_granted(kube))
    assert granted
    assert sorted(granted - used) == []


def _rights(call: Call) -> Iterator[Right]:
    """A call may be allowed by a right in its namespace or by one in the cluster."""
    if call.namespace:
        yield (call.namespace if call.namespace == "mlops-system" else "workspace", call.group, call.resource, call.verb)
    yield ("cluster", call.group, call.resource, call.verb)


def _granted(kube: Kube) -> Iterator[Right]:
    base = "/apis/rbac.authorization.k8s.io/v1"
    yield from _of_rules("cluster", kube.request("GET", f"{base}/clusterroles/mlops-operator"))
    yield from _of_rules("workspace", kube.request("GET", f"{base}/clusterroles/{WORKSPACE_ROLE}"))
    for role in kube.list("Role", "mlops-system"):
        yield from _of_rules("mlops-system", role)


def _of_rules(scope: str, role: dict[str, Any]) -> Iterator[Right]:
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    yield scope, group, resource, verb
