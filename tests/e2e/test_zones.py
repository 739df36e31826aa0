"""What a workspace may use: quotas told with their numbers, profiles, and the zones of the overlay for the tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.kube import PATIENCE_SECONDS, condition, poll
from tests.e2e.workspace import RESOURCES

if TYPE_CHECKING:
    from tests.e2e.kube import Object
    from tests.e2e.workspace import Workspace

ZONE_LABEL = "mlops.eoepca.org/zone"
# Of the PriorityClasses of the overlay, the one that goes first in zone development.
PRIORITY = "mlops-training"
GO = "/mlops/output/go"
UNTIL_TOLD = f"""\
import pathlib, sys, time
end = time.monotonic() + {2 * PATIENCE_SECONDS}
while not pathlib.Path("{GO}").exists():
    if time.monotonic() > end:
        sys.exit("nobody said go")
    time.sleep(0.1)
"""


def limited(name: str, *hard: tuple[str, str]) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": name},
        "spec": {"hard": dict(hard)},
    }


def until_message(workspace: Workspace, name: str, *texts: str) -> str:
    """Wait until a run's message holds all of these."""
    run = workspace.until_run(name, lambda r: all(t in r.get("status", {}).get("message", "") for t in texts))
    return str(run["status"]["message"])


def go(workspace: Workspace, name: str) -> None:
    """Tell a training that waits to end."""
    pod = workspace.until_pod(name)["metadata"]["name"]
    for _ in poll(PATIENCE_SECONDS):
        done = workspace.kube.kubectl("-n", workspace.name, "exec", pod, "-c", "train", "--", "touch", GO)
        if done.returncode == 0:
            return
    raise AssertionError(done.stderr)


@pytest.mark.produces("QuotaExceeded", "PodNotCreated", "PodRefused")
def test_quota_exceeded_is_told_with_numbers(workspace: Workspace) -> None:
    """Three runs whose pods are refused by a quota, a LimitRange and for want of a ServiceAccount; then all is mended."""
    kube, namespace = workspace.kube, workspace.name
    (role,) = kube.list("Role", namespace)
    rights = [rule for rule in role["rules"] if rule["resources"] != ["pods"]]
    assert len(rights) < len(role["rules"])
    kube.patch("Role", namespace, role["metadata"]["name"], {"rules": rights})
    bounds = {"limits": [{"type": "Container", "max": {"memory": "640Mi"}}]}
    workspace.apply(
        limited("compute", ("requests.cpu", "60m")),
        {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "bounds"}, "spec": bounds},
    )
    # Until its figures are made the quota refuses all pods, whatever they ask for.
    workspace.until(
        "ResourceQuota", "compute", lambda q: "requests.cpu" in q.get("status", {}).get("used", {})
    )
    large = {"requests": RESOURCES["requests"], "limits": {"cpu": "1", "memory": "768Mi"}}
    workspace.run("no-room")
    workspace.run("too-large", resources=large)
    workspace.run("no-account", pod={"serviceAccountName": "trainer"})

    message = workspace.waits_for("no-room", "PodNotCreated")
    assert f"kubectl -n {namespace} apply -f" in message
    kube.patch("Role", namespace, role["metadata"]["name"], {"rules": role["rules"]})
    # 20m of the training and 50m of the agent.
    message = workspace.waits_for("no-room", "QuotaExceeded")
    assert "requests.cpu: requested 70m, used 0, hard 60m" in message
    assert "more requests.cpu than the whole quota" in message
    message = workspace.waits_for("too-large", "QuotaExceeded")
    assert "maximum memory usage per Container is 640Mi, but limit is 768Mi" in message
    message = workspace.waits_for("no-account", "PodRefused")
    assert 'serviceaccount "trainer" not found' in message
    assert not workspace.kube.list("Pod", namespace), "asking made nothing"

    workspace.apply(
        limited("compute", ("requests.cpu", "2")),
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "trainer"}},
    )
    kube.delete("LimitRange", namespace, "bounds")
    for name in ("no-room", "too-large", "no-account"):
        run = workspace.succeeded(name)
        assert len(run["status"]["attempts"]) == 1, "it waited, and that was all"


@pytest.mark.produces("ZoneUnknown", "ExceedsZone", "UnknownProfile")
@pytest.mark.produces("Queued", kind="Waiting")
def test_a_zone_bounds_runs_and_lines_them_up(workspace: Workspace) -> None:
    # What it asks for would be too much in the zone; a dataset keeps it from starting before it is in one.
    workspace.run(
        "too-much",
        resources={"limits": {"cpu": 2, "memory": "512Mi"}},
        datasets=[{"name": "not-there"}],
    )
    workspace.waits_for("too-much", "DatasetNotReady")
    into_zone(workspace, "of-dreams")
    message = workspace.waits_for("too-much", "ZoneUnknown")
    assert f"{ZONE_LABEL}=of-dreams" in message
    into_zone(workspace, "development")
    refused = workspace.until_run("too-much", lambda r: condition(r, "Accepted").get("status") == "False")
    assert refused["status"]["reason"] == "ExceedsZone"
    assert "cpu: 2 asked, 1 allowed" in refused["status"]["message"]
    # From here on the operator knows the zone.
    workspace.run("no-profile", profile="gpu-one")
    assert "there are: cpu-tiny." in workspace.waits_for("no-profile", "UnknownProfile")

    defaults(workspace)
    workspace.run("second")
    assert "1 of 1 are running" in workspace.waits_for("second", "Queued")
    workspace.run("urgent", UNTIL_TOLD, scheduling={"priorityClassName": PRIORITY})
    until_message(workspace, "urgent", "the first of 2 that wait")
    workspace.run("third")
    until_message(workspace, "third", "the third of 3 that wait")
    # Its place is looked up again by and by.
    until_message(workspace, "second", "the second of 3 that wait")
    assert not workspace.pods("second")

    go(workspace, "first")
    workspace.succeeded("first")
    workspace.until_phase("urgent", "Running")
    for name in ("second", "third"):
        run = workspace.get("TrainingRun", name)
        assert run is not None
        assert not run["status"].get("attempts"), "it is not its turn"
    workspace.kube.patch("TrainingRun", workspace.name, "third", {"spec": {"cancel": True}})
    go(workspace, "urgent")
    second = workspace.succeeded("second")
    urgent = workspace.succeeded("urgent")
    assert urgent["status"]["attempts"][-1]["endTime"] <= second["status"]["attempts"][0]["startTime"]
    assert not workspace.until_ended("third")["status"].get("attempts")


def into_zone(workspace: Workspace, zone: str) -> None:
    labels: dict[str, Any] = {"metadata": {"labels": {ZONE_LABEL: zone}}}
    workspace.kube.patch("Namespace", "", workspace.name, labels)


def defaults(workspace: Workspace) -> None:
    """Start the first run, and hold its pod to the zone's default profile: what the run says itself wins."""
    workspace.run("first", UNTIL_TOLD, resources={"limits": {"memory": "384Mi"}})
    workspace.until_phase("first", "Running")
    (train,) = workspace.until_pod("first")["spec"]["containers"]
    assert train["resources"] == {
        "requests": {"cpu": "20m", "memory": "64Mi"},
        "limits": {"cpu": "1", "memory": "384Mi"},
    }
    assert {"name": "OMP_NUM_THREADS", "value": "1"} in train["env"]
