"""`python -m bench`: measure, print tables, keep the figures in .state/bench."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console

from bench import burst, metrics, overhead, report, restart
from bench.cluster import Cluster
from hack.cluster.errors import ClusterError
from hack.cluster.places import HERE
from hack.kubectl import default_kubeconfig
from mlops_operator.errors import MlopsError

FOLDER = HERE.state / "bench"


class Measurement(StrEnum):
    """What can be measured."""

    BURST = "burst"
    RESTART = "restart"
    OVERHEAD = "overhead"
    METRICS = "metrics"


app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.command()
def main(
    *,
    only: Annotated[
        list[Measurement] | None,
        typer.Option(help="One measurement; may be given more than once. Default: all."),
    ] = None,
    runs: Annotated[int, typer.Option(min=1, help="burst: how many runs.")] = 500,
    rounds: Annotated[int, typer.Option(min=1, help="burst, restart: how many times.")] = 3,
    concurrency: Annotated[
        int, typer.Option(min=1, help="Requests at a time, of the burst and of the bare loop alike.")
    ] = 8,
    finished: Annotated[int, typer.Option(min=1, help="restart: how many finished runs are there.")] = 5000,
    repeats: Annotated[int, typer.Option(min=1, help="overhead: how many runs and bare Jobs.")] = 10,
    points: Annotated[int, typer.Option(min=10, help="metrics: how many points.")] = 1_000_000,
) -> None:
    """Measure the operator on the running cluster, each thing beside what it is compared with.

    **burst**: TrainingRuns whose pods no node takes, created all at once; from the first POST to the last Job. A bare
    loop of requests creates the same Jobs before and after each burst, with as many requests at a time.

    **restart**: with thousands of finished runs the operator's pod is deleted; until the next one leads, and until a
    run that was applied meanwhile has its Job. It stops the operator for about a minute while it writes the runs.

    **overhead**: a run with a dataset of 1 MB and the same container in a bare Job, in turns; until the command starts,
    and from its end to success.

    **metrics**: a run that writes a million metric points as fast as it can; CPU and memory of its sidecar. It must run
    on this machine.

    Each works in namespaces of its own (bench-…) and deletes them. Tables are printed at the end; all figures are in
    .state/bench/NAME.json. A machine that does something else meanwhile measures that too: the load average is beside
    the figures. The exit code is 1 if an aim was missed.

    Examples: `make bench`, `make bench ARGS="--only burst --runs 50 --rounds 1"`.
    """
    measurements: dict[Measurement, Callable[[Cluster], Awaitable[report.Result]]] = {
        Measurement.OVERHEAD: lambda cluster: overhead.measure(cluster, overhead.Plan(repeats)),
        Measurement.METRICS: lambda cluster: metrics.measure(cluster, metrics.Plan(points)),
        Measurement.BURST: lambda cluster: burst.measure(cluster, burst.Plan(runs, rounds, concurrency)),
        Measurement.RESTART: lambda cluster: restart.measure(
            cluster, restart.Plan(finished, rounds, concurrency)
        ),
    }
    chosen = {name: measure for name, measure in measurements.items() if not only or name in only}
    results = asyncio.run(_measure(chosen))
    report.show(results, Console())
    if not all(result.met for result in results):
        raise typer.Exit(1)


async def _measure(
    chosen: dict[Measurement, Callable[[Cluster], Awaitable[report.Result]]],
) -> list[report.Result]:
    kubeconfig = default_kubeconfig()
    if not await asyncio.to_thread(kubeconfig.is_file):
        raise ClusterError("There is no cluster: `make bench` brings one up.")
    results = []
    async with Cluster.connect(kubeconfig) as cluster:
        for name, measure in chosen.items():
            with Console(stderr=True).status(f"measuring {name}"):
                results.append(await measure(cluster))
            print(f"{name}: {report.write(results[-1], FOLDER)}", file=sys.stderr)
    return results


if __name__ == "__main__":
    try:
        app()
    except (ClusterError, MlopsError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from error
    except ExceptionGroup as errors:
        # Of many requests at once the first that failed says what is wrong.
        print(f"error: {errors.exceptions[0]}", file=sys.stderr)
        raise SystemExit(1) from errors
