"""A burst of runs that cannot start, beside a bare loop that creates the same Jobs."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench import calls, memory
from bench.cluster import CONFIG_MAPS, JOBS, Cluster
from bench.figures import Spread, percentile
from bench.load import post_all
from bench.manifests import bare_copy, owner, stuck_run
from bench.report import Aim, Line, Result, load_average, this_machine
from bench.sightings import watching
from hack.cluster.places import HERE
from mlops_operator.controller.kube import RUNS
from tests.e2e.audit import OPERATOR, AuditLog

LIMIT_SECONDS = 300.0
SETTLED_SECONDS = 180.0
# Before a pod has been tried by the scheduler and the run says so.
NOT_SETTLED = {"", "Pending", "Queued"}


@dataclass(frozen=True)
class Plan:
    """What is measured."""

    runs: int
    rounds: int
    concurrency: int


@dataclass(frozen=True)
class Burst:
    """One burst through the operator. Times are in seconds."""

    duration: float
    latencies: list[float]
    calls: Counter[str]
    memory: memory.Memory | None


async def measure(cluster: Cluster, plan: Plan) -> Result:
    """Measure bare, ours, bare, ours, …, bare: each burst is compared with the bare loops before and after it."""
    load = load_average()
    template = await job_template(cluster)
    bare = [await bare_loop(cluster, template, plan)]
    bursts: list[Burst] = []
    for _ in range(plan.rounds):
        bursts.append(await burst(cluster, plan))
        bare.append(await bare_loop(cluster, template, plan))
    return Result(
        "burst",
        f"A burst of {plan.runs} TrainingRuns, {plan.concurrency} requests at a time, {plan.rounds} rounds",
        lines(plan, bursts, bare),
        this_machine(load),
        details(plan, bursts, bare),
    )


def ratios(bursts: list[float], bare: list[float]) -> list[float]:
    """Compare each burst with the mean of the bare loops before and after it: 1 would be as fast as the bare loop."""
    return [
        (before + after) / 2 / ours for ours, before, after in zip(bursts, bare[:-1], bare[1:], strict=True)
    ]


def lines(plan: Plan, bursts: list[Burst], bare: list[float]) -> list[Line]:
    """Sum up all rounds."""
    durations = [found.duration for found in bursts]
    against = Spread.of(ratios(durations, bare))
    p50 = Spread.of([percentile(found.latencies, 50) for found in bursts])
    p99 = Spread.of([percentile(found.latencies, 99) for found in bursts])
    ours, loop = Spread.of(durations), Spread.of(bare)
    found = [
        Line("first POST to last Job", ours.median, " s", ours.text(" s")),
        Line("the same Jobs by a bare loop", loop.median, " s", loop.text(" s")),
        Line("share of the bare loop's speed", against.median, "", against.text(), Aim(0.25, at_least=True)),
        Line("POST of a run to its Job, p50", p50.median, " s", p50.text(" s")),
        Line("POST of a run to its Job, p99", p99.median, " s", p99.text(" s"), Aim(3.0)),
    ]
    if any(round_.calls for round_ in bursts):
        mean = Spread.of([round_.calls.total() / plan.runs for round_ in bursts])
        found.append(Line("API calls of the operator per run", mean.median, "", mean.text()))
    peaks = [round_.memory.peak_mib for round_ in bursts if round_.memory]
    if peaks:
        found.append(Line("operator's memory, most", max(peaks), " MiB", f"{max(peaks):.0f} MiB", Aim(200)))
    return found


def details(plan: Plan, bursts: list[Burst], bare: list[float]) -> dict[str, Any]:
    """Give every round."""
    return {
        "runs": plan.runs,
        "concurrency": plan.concurrency,
        "bareSeconds": bare,
        "rounds": [
            {
                "seconds": found.duration,
                "p50Seconds": percentile(found.latencies, 50),
                "p99Seconds": percentile(found.latencies, 99),
                "mostSeconds": max(found.latencies),
                "callsPerRun": calls.per_object(found.calls, plan.runs),
                "memoryMiB": found.memory.now_mib if found.memory else None,
                "memoryPeakMiB": found.memory.peak_mib if found.memory else None,
            }
            for found in bursts
        ],
    }


async def job_template(cluster: Cluster) -> Mapping[str, Any]:
    """Let the operator make one Job of the kind that the burst has, and give it."""
    async with cluster.workspace("template") as workspace:
        name = "template"
        async with watching(cluster.api, JOBS, workspace.name) as seen:
            await cluster.create(RUNS, stuck_run(name, workspace.name))
            await seen.until([f"{name}-1"], "Jobs", 60)
        job = await cluster.get(JOBS, workspace.name, f"{name}-1")
        assert job is not None  # noqa: S101 - it was seen, and nobody deletes it
        return job


async def bare_loop(cluster: Cluster, template: Mapping[str, Any], plan: Plan) -> float:
    """Create the Jobs directly; gives the seconds from the first POST to the last Job seen."""
    async with cluster.namespace("bare") as namespace:
        owned_by = owner("owner", namespace)
        owned_by["metadata"] = (await cluster.create(CONFIG_MAPS, owned_by))["metadata"]
        bodies = [
            bare_copy(template, f"run-{number:05}-1", namespace, owned_by) for number in range(plan.runs)
        ]
        async with watching(cluster.api, JOBS, namespace) as seen:
            sent = await post_all(cluster.api, JOBS, bodies, plan.concurrency)
            await seen.until(sent, "Jobs of the bare loop", LIMIT_SECONDS)
        return max(seen.at.values()) - min(sent.values())


async def burst(cluster: Cluster, plan: Plan) -> Burst:
    """Create the runs, and see the operator create their Jobs."""
    async with cluster.workspace("burst") as workspace:
        namespace = workspace.name
        jobs = {f"run-{number:05}-1" for number in range(plan.runs)}
        bodies = [stuck_run(f"run-{number:05}", namespace) for number in range(plan.runs)]
        async with watching(cluster.api, JOBS, namespace) as seen:
            sent = await post_all(cluster.api, RUNS, bodies, plan.concurrency)
            await seen.until(jobs, "Jobs of the burst", LIMIT_SECONDS)
        await _settle(cluster, namespace, plan)
        pod = await cluster.operator_pod()
        made = Counter[str]()
        if HERE.audit_log.exists():
            log = AuditLog(HERE.audit_log.parent)
            made = await asyncio.to_thread(lambda: calls.by_verb(log.calls(OPERATOR), namespace))
        return Burst(
            max(seen.at.values()) - min(sent.values()),
            [seen.at[f"{name}-1"] - at for name, at in sent.items()],
            made,
            memory.of_pod(pod["metadata"]["uid"]),
        )


async def _settle(cluster: Cluster, namespace: str, plan: Plan) -> None:
    """Wait until every run says why it waits: only then the operator has done all that it does for them."""

    async def settled() -> bool:
        runs = await cluster.list(RUNS, namespace)
        reasons = [run.get("status", {}).get("reason", "") for run in runs]
        return len(reasons) == plan.runs and not NOT_SETTLED.intersection(reasons)

    await cluster.until(settled, "all runs to say that they are unschedulable", SETTLED_SECONDS, 2.0)
