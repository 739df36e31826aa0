"""What is made of the figures; the measuring itself is proven on the cluster."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from bench import burst, calls, memory, overhead, restart
from bench.load import for_each
from bench.sightings import Sightings
from hack.cluster.errors import ClusterError
from tests.e2e.audit import OPERATOR, Call


def test_each_burst_is_compared_with_the_bare_loops_around_it() -> None:
    assert burst.ratios([2.0, 4.0], [1.0, 1.0, 3.0]) == [0.5, 0.5]


def test_a_slow_burst_misses_its_aims() -> None:
    plan = burst.Plan(runs=2, rounds=1, concurrency=1)
    found = burst.Burst(8.0, [1.0, 4.0], Counter({"create jobs": 2, "patch trainingruns/status": 4}), None)
    lines = {line.name: line for line in burst.lines(plan, [found], [1.0, 1.0])}
    assert lines["share of the bare loop's speed"].value == 0.125
    assert lines["share of the bare loop's speed"].met is False
    assert lines["POST of a run to its Job, p99"].met is False
    assert lines["API calls of the operator per run"].value == 3.0
    assert burst.details(plan, [found], [1.0, 1.0])["rounds"][0]["callsPerRun"]["create jobs"] == 1.0


def test_the_worst_restart_counts() -> None:
    lines = restart.lines([restart.Restart(1, 4, 0.5, 3, None), restart.Restart(1, 16, 1.5, 3, None)])
    met = {line.name: line.met for line in lines}
    assert met["pod deleted to the next one leading"] is False
    assert met["leading to the Job of a run applied meanwhile"] is True


def test_differences_are_those_of_neighbours() -> None:
    ours = [overhead.Times(3, 2), overhead.Times(13, 2), overhead.Times(4, 3)]
    bare = [overhead.Times(1, 1), overhead.Times(11, 1), overhead.Times(1, 1)]
    lines = {line.name: line for line in overhead.lines(ours, bare)}
    assert lines["POST to the command's start, difference"].value == 2
    assert lines["command's end to success, difference"].value == 1


def test_the_command_says_when_it_starts_and_ends() -> None:
    assert overhead.said("noise\nbench start 10.250\nbench end 13.500\n") == {"start": 10.25, "end": 13.5}
    with pytest.raises(ClusterError, match="did not say"):
        overhead.said("bench start 10.250\n")


def test_the_resync_depth_is_read_from_the_metrics() -> None:
    text = 'mlops_queue_depth{priority="fresh"} 1.0\nmlops_queue_depth{priority="resync"} 4999.0\n'
    assert restart.resync_depth(text) == 4999
    with pytest.raises(ClusterError, match="resync"):
        restart.resync_depth("")


def test_calls_are_counted_in_one_namespace() -> None:
    def call(verb: str, resource: str, namespace: str) -> Call:
        return Call(OPERATOR, verb, "", resource, namespace, "", 200)

    log = [
        call("create", "jobs", "a"),
        call("create", "jobs", "a"),
        call("create", "jobs", "b"),
        call("get", "secrets", "a"),
    ]
    found = calls.by_verb(log, "a")
    assert found == {"create jobs": 2, "get secrets": 1}
    assert calls.per_object(found, 2) == {"create jobs": 1.0, "get secrets": 0.5}


def test_memory_is_read_as_the_kernel_writes_it() -> None:
    assert memory.parse("Name:\tpython3\nVmHWM:\t  204800 kB\nVmRSS:\t  102400 kB\n") == memory.Memory(
        100, 200
    )


async def test_only_so_many_at_a_time() -> None:
    running: set[int] = set()
    most = 0
    done = []

    async def work(number: int) -> None:
        nonlocal most
        running.add(number)
        most = max(most, len(running))
        await asyncio.sleep(0)
        running.discard(number)
        done.append(number)

    await for_each(range(20), work, 4)
    assert sorted(done) == list(range(20))
    assert most == 4


async def test_sightings_keep_the_first_time_and_wait_for_names() -> None:
    seen = Sightings()
    seen.saw("a")
    first = seen.at["a"]
    seen.saw("a")
    assert seen.at["a"] == first
    waiting = asyncio.create_task(seen.until(["a", "b"], "things", 5))
    await asyncio.sleep(0)
    assert not waiting.done()
    seen.saw("b")
    await waiting
    with pytest.raises(ClusterError, match="1 of 2 things"):
        await seen.until(["a", "c"], "things", 0.01)
