"""What very many metrics cost: CPU and memory of one sidecar, and writes to the run's status."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from pathlib import Path

from bench.cluster import PODS, Cluster
from bench.manifests import training_run
from bench.memory import parse
from bench.report import Aim, Line, Result, load_average, this_machine
from bench.sightings import watching
from hack.cluster.errors import ClusterError
from mlops_operator.controller.kube import RUNS
from mlops_operator.controller.transport import Object
from tests.e2e.faults import processes_of_pod

LIMIT_SECONDS = 900.0
MEMORY_MIB = 128.0
SIDECAR = "mlops_operator.agent"
LOOK_SECONDS = 0.2
STATUS_SECONDS = 10.0
# As fast as it can: what the sidecar does not read at once waits in the file.
SCRIPT = """\
import os
points, names = {points}, {names}
with open(os.environ["MLOPS_METRICS_FILE"], "w") as file:
    for step in range(points // names):
        values = ", ".join(f'"metric/{{name}}": {{step / (name + 1)}}' for name in range(names))
        file.write(f'{{{{"step": {{step}}, {{values}}}}}}\\n')
"""


@dataclass(frozen=True)
class Plan:
    """What is measured: so many points, of so many names in each line."""

    points: int
    names: int = 10


@dataclass
class Use:
    """The most that was seen of a process."""

    cpu_seconds: float = 0.0
    peak_mib: float = 0.0


async def measure(cluster: Cluster, plan: Plan) -> Result:
    """Run a training that writes all points; look at its sidecar until it is done."""
    load = load_average()
    writes: list[float] = []
    async with cluster.workspace("metrics") as workspace:
        script = SCRIPT.format(points=plan.points, names=plan.names)

        def ended(run: Object) -> bool:
            writes.append(time.monotonic())
            return run.get("status", {}).get("phase") in {"Succeeded", "Failed"}

        async with watching(cluster.api, RUNS, workspace.name, ended) as seen:
            began = time.monotonic()
            await cluster.create(RUNS, training_run("points", workspace.name, script))
            use = Use()
            watcher = asyncio.create_task(_watch(cluster, workspace.name, use))
            await seen.until(["points"], "ends", LIMIT_SECONDS)
            watcher.cancel()
        run = await cluster.get(RUNS, workspace.name, "points") or {}
    status = run.get("status", {})
    if status.get("phase") != "Succeeded":
        raise ClusterError(f"The run did not succeed: {status.get('message')}")
    seconds = seen.at["points"] - began
    return Result(
        "metrics",
        f"{plan.points:,} metric points through one sidecar",
        [
            Line("sidecar, most memory", use.peak_mib, " MiB", f"{use.peak_mib:.1f} MiB", Aim(MEMORY_MIB)),
            Line("sidecar, CPU", use.cpu_seconds, " s"),
            Line("POST to success", seconds, " s"),
            Line(
                "status events of the run",
                len(writes),
                "",
                str(len(writes)),
                Aim(6 + seconds / STATUS_SECONDS),
            ),
        ],
        this_machine(load),
        {"warnings": status.get("warnings", []), "metrics": len(status.get("metrics", []))},
    )


async def _watch(cluster: Cluster, namespace: str, use: Use) -> None:
    """Look at the sidecar's process again and again; the kernel keeps the peak of its memory."""
    uid = ""
    while True:
        if not uid:
            pods = await cluster.list(PODS, namespace)
            uid = pods[0]["metadata"]["uid"] if pods else ""
        for pid in processes_of_pod(uid, f"{SIDECAR} sidecar") if uid else ():
            await asyncio.to_thread(_look, pid, use)
        await asyncio.sleep(LOOK_SECONDS)


def _look(pid: int, use: Use) -> None:
    try:
        use.peak_mib = max(use.peak_mib, parse(Path(f"/proc/{pid}/status").read_text()).peak_mib)
        # After the name, which may hold anything: utime and stime are the 12th and 13th.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, KeyError):
        return  # it ended while we looked
    use.cpu_seconds = max(use.cpu_seconds, (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"))
