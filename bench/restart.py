"""A graceful restart with thousands of finished runs: when it leads, and what it does first."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bench import calls, memory
from bench.cluster import JOBS, PODS, Cluster
from bench.figures import Spread
from bench.load import for_each
from bench.manifests import (
    finished_job,
    finished_job_status,
    finished_status,
    stuck_run,
    training_run,
)
from bench.report import Aim, Line, Result, load_average, this_machine
from bench.sightings import watching
from hack.cluster.errors import ClusterError
from hack.cluster.places import HERE
from hack.deploy import NAMESPACE
from mlops_operator.controller.kube import LEASE_NAME, LEASES, RUNS
from mlops_operator.controller.transport import Object
from tests.e2e.audit import OPERATOR, AuditLog

LOOK_SECONDS = 0.05
LEADING_SECONDS = 120.0
RESYNC_SECONDS = 300.0
# What a real run leaves behind is taken from one.
SCRIPT = """\
import json, os
with open(os.environ["MLOPS_METRICS_FILE"], "a") as metrics:
    for step in range(10):
        values = {f"metric_{number}": number / (step + 1) for number in range(8)}
        metrics.write(json.dumps({"step": step, **values}) + "\\n")
"""


@dataclass(frozen=True)
class Plan:
    """What is measured."""

    finished: int
    rounds: int
    concurrency: int


@dataclass(frozen=True)
class Restart:
    """One restart, in seconds: from the deletion of the pod, or from its successor's leadership."""

    released: float
    leading: float
    job_after_leading: float
    resynced_after_leading: float
    memory: memory.Memory | None


@dataclass(frozen=True)
class Template:
    """A run that has succeeded, and its Job."""

    run: Mapping[str, Any]
    job: Mapping[str, Any]


async def measure(cluster: Cluster, plan: Plan) -> Result:
    """Write the finished runs while the operator is away, then restart it some times."""
    load = load_average()
    async with cluster.workspace("restart") as workspace:
        namespace = workspace.name
        template = await _template(cluster, namespace)
        await cluster.scale_operator(0)
        try:
            writing = await _write_finished(cluster, template, namespace, plan)
        finally:
            await cluster.scale_operator(1)
        await _resynced(cluster, (await cluster.operator_pod())["metadata"]["name"])
        before = _calls(namespace)
        restarts = [await _restart(cluster, namespace, number) for number in range(plan.rounds)]
        made = _calls(namespace) - before
        return Result(
            "restart",
            f"A graceful restart with {plan.finished} finished runs, {plan.rounds} times",
            lines(restarts),
            this_machine(load),
            {
                "finished": plan.finished,
                "writtenInSeconds": writing,
                "restarts": [vars(found) | {"memory": _plain(found.memory)} for found in restarts],
                "callsInTheNamespace": dict(made),
            },
        )


def lines(restarts: list[Restart]) -> list[Line]:
    """Sum up. The worst counts: an aim that is met on average is not met."""
    leading = Spread.of([found.leading for found in restarts])
    job = Spread.of([found.job_after_leading for found in restarts])
    resynced = Spread.of([found.resynced_after_leading for found in restarts])
    released = Spread.of([found.released for found in restarts])
    found = [
        Line("pod deleted to Lease released", released.median, " s", released.text(" s")),
        Line("pod deleted to the next one leading", leading.most, " s", leading.text(" s"), Aim(15)),
        Line("leading to the Job of a run applied meanwhile", job.most, " s", job.text(" s"), Aim(2)),
        Line("leading to all finished runs looked at", resynced.median, " s", resynced.text(" s")),
    ]
    peaks = [restart.memory.peak_mib for restart in restarts if restart.memory]
    if peaks:
        found.append(Line("operator's memory, most", max(peaks), " MiB", f"{max(peaks):.0f} MiB", Aim(200)))
    return found


def resync_depth(metrics: str) -> float:
    """Read from the operator's metrics how many finished resources are still to be looked at.

    Raises
    ------
    ClusterError
        The metrics do not say it.
    """
    for line in metrics.splitlines():
        if line.startswith('mlops_queue_depth{priority="resync"}'):
            return float(line.split()[-1])
    raise ClusterError("The operator's metrics have no mlops_queue_depth for resync.")


def _plain(found: memory.Memory | None) -> dict[str, float] | None:
    return vars(found) if found else None


def _calls(namespace: str) -> Counter[str]:
    if not HERE.audit_log.exists():
        return Counter()
    return calls.by_verb(AuditLog(HERE.audit_log.parent).calls(OPERATOR), namespace)


# --- what was finished long ago ---------------------------------------------------------------------------------


async def _template(cluster: Cluster, namespace: str) -> Template:
    """Train once, for a status and a Job as they really are."""
    await cluster.create(RUNS, training_run("template", namespace, SCRIPT, experiment="restart"))
    run = await cluster.until_run(
        namespace,
        "template",
        lambda seen: seen.get("status", {}).get("phase") == "Succeeded" and "recorded" in seen["status"],
        "to succeed and to be recorded",
        180,
    )
    job = await cluster.get(JOBS, namespace, "template-1")
    if job is None:
        raise ClusterError(f"The Job {namespace}/template-1 is gone.")
    return Template(run, job)


async def _write_finished(cluster: Cluster, template: Template, namespace: str, plan: Plan) -> float:
    """Write runs, their status, their Jobs and their status; gives the seconds."""
    # They finished just now, so that no Job's time is over while we measure.
    now = datetime.now(UTC)
    times = [f"{now - timedelta(seconds=ago):%Y-%m-%dT%H:%M:%SZ}" for ago in (60, 0)]
    spec = template.run["spec"]
    started = time.monotonic()

    async def write(number: int) -> None:
        body = {
            **template.run,
            "metadata": {"name": f"finished-{number:05}", "namespace": namespace},
            "spec": spec,
        }
        run = await cluster.create(
            RUNS, {key: body[key] for key in ("apiVersion", "kind", "metadata", "spec")}
        )
        job = await cluster.create(JOBS, finished_job(template.job, run))
        name = run["metadata"]["name"]
        await cluster.patch_status(JOBS, namespace, f"{name}-1", finished_job_status(*times))
        status = finished_status(template.run["status"], job["metadata"]["uid"])
        await cluster.patch_status(RUNS, namespace, name, status)

    await for_each(range(plan.finished), write, plan.concurrency)
    return time.monotonic() - started


# --- the restart ------------------------------------------------------------------------------------------------


async def _restart(cluster: Cluster, namespace: str, number: int) -> Restart:
    old = await cluster.operator_pod()
    holder = await _holder(cluster)
    name = f"meanwhile-{number}"
    async with watching(cluster.api, JOBS, namespace) as seen:
        deleted = time.monotonic()
        await cluster.api.request("DELETE", PODS.path(NAMESPACE, old["metadata"]["name"]))
        released = await cluster.until(
            lambda: _held_otherwise(cluster, holder),
            "the Lease to be released",
            LEADING_SECONDS,
            LOOK_SECONDS,
        )
        # Nobody works now: the next one finds it.
        await cluster.create(RUNS, stuck_run(name, namespace))
        leading = await cluster.until(
            lambda: _held_anew(cluster, holder), "the next one to lead", LEADING_SECONDS, LOOK_SECONDS
        )
        await seen.until([f"{name}-1"], "Jobs after the restart", LEADING_SECONDS)
    new = await cluster.operator_pod()
    resynced = await _resynced(cluster, new["metadata"]["name"])
    return Restart(
        released - deleted,
        leading - deleted,
        seen.at[f"{name}-1"] - leading,
        resynced - leading,
        memory.of_pod(new["metadata"]["uid"]),
    )


async def _holder(cluster: Cluster) -> str:
    lease: Object = await cluster.get(LEASES, NAMESPACE, LEASE_NAME) or {}
    return str(lease.get("spec", {}).get("holderIdentity") or "")


async def _held_otherwise(cluster: Cluster, holder: str) -> bool:
    return await _holder(cluster) != holder


async def _held_anew(cluster: Cluster, holder: str) -> bool:
    return await _holder(cluster) not in {"", holder}


async def _resynced(cluster: Cluster, pod: str) -> float:
    """Wait until all finished runs were looked at once; gives when."""

    async def done() -> bool:
        return resync_depth(await cluster.scrape(pod)) == 0

    await cluster.until(lambda: _is_ready(cluster, pod), "the operator to be ready", LEADING_SECONDS, 0.1)
    return await cluster.until(done, "all finished runs to be looked at", RESYNC_SECONDS, 0.2)


async def _is_ready(cluster: Cluster, pod: str) -> bool:
    found = await cluster.get(PODS, NAMESPACE, pod) or {}
    conditions = found.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
