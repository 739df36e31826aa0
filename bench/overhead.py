"""What a run costs beside the same container in a bare Job: until its command starts, and after it has ended."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.cluster import JOBS, PODS, Cluster
from bench.figures import Spread
from bench.manifests import same_container, training_run
from bench.report import Aim, Line, Result, load_average, this_machine
from bench.sightings import Sightings, watching
from hack.cluster.errors import ClusterError
from hack.services.workspace import Workspace
from mlops_operator.api.base import API_VERSION
from mlops_operator.controller.kube import DATASETS, RUNS
from mlops_operator.controller.transport import Object

LIMIT_SECONDS = 180.0
DATASET_BYTES = 2**20
# The command says itself when it starts and when it ends. It lasts long enough for everything around it to be calm.
SCRIPT = """\
import time
print(f"bench start {time.time():.3f}", flush=True)
time.sleep(3)
print(f"bench end {time.time():.3f}", flush=True)
"""
_SAID = re.compile(r"bench (start|end) (\d+\.\d+)")


@dataclass(frozen=True)
class Plan:
    """What is measured."""

    repeats: int


@dataclass(frozen=True)
class Times:
    """One run or Job, in seconds: from the POST to the command's start, and from its end to success."""

    start: float
    end: float


async def measure(cluster: Cluster, plan: Plan) -> Result:
    """Measure ours and bare in turns, so that both see the same machine."""
    load = load_average()
    async with cluster.workspace("overhead") as workspace:
        await _dataset(cluster, workspace)
        # The first of each is not counted: it warms what is warm in everyday life.
        await _ours(cluster, workspace.name, "warm")
        job = await cluster.get(JOBS, workspace.name, "warm-1")
        if job is None:
            raise ClusterError(f"The Job {workspace.name}/warm-1 is gone.")
        await _bare(cluster, workspace.name, "bare-warm", job)
        ours: list[Times] = []
        bare: list[Times] = []
        for number in range(plan.repeats):
            ours.append(await _ours(cluster, workspace.name, f"ours-{number}"))
            bare.append(await _bare(cluster, workspace.name, f"bare-{number}", job))
    return Result(
        "overhead",
        f"A run beside the same container in a bare Job, median of {plan.repeats}",
        lines(ours, bare),
        this_machine(load),
        {"ours": [vars(times) for times in ours], "bare": [vars(times) for times in bare]},
    )


def lines(ours: list[Times], bare: list[Times]) -> list[Line]:
    """Sum up; differences are those of neighbours."""
    found = []
    for name, part in (("POST to the command's start", "start"), ("command's end to success", "end")):
        own, other = [getattr(times, part) for times in ours], [getattr(times, part) for times in bare]
        run, job = Spread.of(own), Spread.of(other)
        more = Spread.of([a - b for a, b in zip(own, other, strict=True)])
        found += [
            Line(f"{name}, run", run.median, " s", run.text(" s")),
            Line(f"{name}, bare Job", job.median, " s", job.text(" s")),
            Line(f"{name}, difference", more.median, " s", more.text(" s"), Aim(3.0)),
        ]
    return found


def said(log: str) -> dict[str, float]:
    """Read from the command's output when it started and ended (Unix time).

    Raises
    ------
    ClusterError
        It does not say both.
    """
    found = {what: float(when) for what, when in _SAID.findall(log)}
    if set(found) != {"start", "end"}:
        raise ClusterError(f"The command did not say when it started and ended: {log[-300:]!r}")
    return found


async def _dataset(cluster: Cluster, workspace: Workspace) -> None:
    """Make a dataset of 1 MB, ready."""
    client = cluster.s3.client(workspace.credentials)
    content = bytes(range(256)) * (DATASET_BYTES // 256)
    bucket = workspace.credentials.bucket
    await asyncio.to_thread(client.put_object, Bucket=bucket, Key="data/bench/data.bin", Body=content)
    body = {
        "apiVersion": API_VERSION,
        "kind": "TrainingDataset",
        "metadata": {"name": "data", "namespace": workspace.name},
        "spec": {"version": "1", "source": {"s3": {"uri": f"s3://{bucket}/data/bench/"}}},
    }
    await cluster.create(DATASETS, body)

    async def ready() -> bool:
        found = await cluster.get(DATASETS, workspace.name, "data") or {}
        return bool(found.get("status", {}).get("phase") == "Ready")

    await cluster.until(ready, "the dataset to be ready", LIMIT_SECONDS)


async def _ours(cluster: Cluster, namespace: str, name: str) -> Times:
    body = training_run(name, namespace, SCRIPT, datasets=[{"name": "data"}])
    async with watching(cluster.api, RUNS, namespace, _ended) as seen:
        posted = time.time()
        await cluster.create(RUNS, body)
        ended = await _wall_time_of(seen, name)
    run = await cluster.get(RUNS, namespace, name) or {}
    if run.get("status", {}).get("phase") != "Succeeded":
        raise ClusterError(
            f"The run {namespace}/{name} did not succeed: {run.get('status', {}).get('message')}"
        )
    spoken = await _spoken(cluster, namespace, f"{name}-1")
    return Times(spoken["start"] - posted, ended - spoken["end"])


async def _bare(cluster: Cluster, namespace: str, name: str, like: Mapping[str, Any]) -> Times:
    body = same_container(like, name, namespace, SCRIPT)
    async with watching(cluster.api, JOBS, namespace, _complete) as seen:
        posted = time.time()
        await cluster.create(JOBS, body)
        ended = await _wall_time_of(seen, name)
    spoken = await _spoken(cluster, namespace, name)
    return Times(spoken["start"] - posted, ended - spoken["end"])


def _ended(run: Object) -> bool:
    return run.get("status", {}).get("phase") in {"Succeeded", "Failed"}


def _complete(job: Object) -> bool:
    conditions = job.get("status", {}).get("conditions", [])
    return any(c["type"] in {"Complete", "Failed"} and c["status"] == "True" for c in conditions)


async def _wall_time_of(seen: Sightings, name: str) -> float:
    """Wait for the end; gives it by the clock that the command has too."""
    await seen.until([name], "ends", LIMIT_SECONDS)
    return time.time() - (time.monotonic() - seen.at[name])


async def _spoken(cluster: Cluster, namespace: str, job: str) -> dict[str, float]:
    (pod,) = await cluster.list(PODS, namespace, f"batch.kubernetes.io/job-name={job}")
    where = ("--namespace", namespace, "logs", pod["metadata"]["name"], "--container=train")
    return said(await asyncio.to_thread(cluster.kubectl.run, *where))
