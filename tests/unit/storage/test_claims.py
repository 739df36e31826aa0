"""Numbers of versions under races and crashes."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops_operator.errors import AlreadyExists
from mlops_operator.storage.claims import claim_version
from tests.unit.storage.examples import NOW
from tests.unit.storage.memory import MemoryBucket


class Killed(BaseException):
    """The process ended here."""


def claims_of(bucket: MemoryBucket) -> list[str]:
    return sorted(key.split("/")[3] for key in bucket.objects if key.endswith("/claim.json"))


def test_integers_rise_and_an_owner_keeps_its_own() -> None:
    bucket = MemoryBucket()
    assert [claim_version(bucket, "wine", None, owner, NOW) for owner in ("a", "b", "a", "c")] == [
        "1",
        "2",
        "1",
        "3",
    ]


def test_an_integer_taken_by_hand_is_not_given_again() -> None:
    bucket = MemoryBucket()
    assert claim_version(bucket, "wine", "10", "a", NOW) == "10"
    assert claim_version(bucket, "wine", "2.0.0", "a", NOW) == "2.0.0"
    assert claim_version(bucket, "wine", None, "b", NOW) == "11"
    assert claim_version(bucket, "wine-red", None, "b", NOW) == "1"


def test_a_version_of_another_owner_is_refused() -> None:
    bucket = MemoryBucket()
    claim_version(bucket, "wine", "1.0.0", "a", NOW)
    assert claim_version(bucket, "wine", "1.0.0", "a", NOW) == "1.0.0"
    with pytest.raises(AlreadyExists, match=r"version 1\.0\.0 of model wine is taken"):
        claim_version(bucket, "wine", "1.0.0", "b", NOW)


def test_racing_owners_get_different_numbers() -> None:
    bucket = MemoryBucket()
    owners = [f"owner-{number}" for number in range(16)] * 2
    with ThreadPoolExecutor(8) as pool:
        versions = list(pool.map(lambda owner: claim_version(bucket, "wine", None, owner, NOW), owners))
    assert versions[:16] == versions[16:]
    assert sorted(map(int, versions[:16])) == list(range(1, 17))


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(min_value=0, max_value=6)), max_size=12))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_killed_anywhere_an_owner_has_one_number(steps: list[tuple[str, int]]) -> None:
    bucket = MemoryBucket()
    for owner, lives in steps:
        calls = iter(range(lives))

        def die(_action: str, _key: str, calls: object = calls) -> None:
            if next(calls, None) is None:  # type: ignore[call-overload]
                raise Killed

        bucket.before = die
        with contextlib.suppress(Killed):
            claim_version(bucket, "wine", None, owner, NOW)
    bucket.before = lambda _action, _key: None
    final = {owner: claim_version(bucket, "wine", None, owner, NOW) for owner in "abc"}
    assert len(set(final.values())) == 3
    assert claims_of(bucket) == sorted(final.values()), "a number was taken and lost"


def interleaved(order: list[int], owners: list[str]) -> tuple[MemoryBucket, list[str]]:
    """Run claims as threads of which one at a time may make one request, in the order given."""
    bucket = MemoryBucket()
    turns = [threading.Semaphore(0) for _ in owners]
    arrived = [threading.Semaphore(0) for _ in owners]
    done = [False] * len(owners)
    here = threading.local()

    def wait(_action: str, _key: str) -> None:
        arrived[here.number].release()
        turns[here.number].acquire()

    results = [""] * len(owners)

    def work(number: int) -> None:
        here.number = number
        results[number] = claim_version(bucket, "wine", None, owners[number], NOW)
        done[number] = True
        arrived[number].release()

    bucket.before = wait
    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(len(owners))]
    for thread in threads:
        thread.start()
    for gate in arrived:
        assert gate.acquire(timeout=10)
    steps = iter(order)
    while not all(done):
        waiting = [number for number in range(len(owners)) if not done[number]]
        number = waiting[next(steps, 0) % len(waiting)]
        turns[number].release()
        assert arrived[number].acquire(timeout=10)
    return bucket, results


@given(st.lists(st.integers(0, 5), max_size=40), st.lists(st.sampled_from("ab"), min_size=2, max_size=4))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_in_every_order_of_requests_an_owner_has_one_number(order: list[int], owners: list[str]) -> None:
    bucket, results = interleaved(order, owners)
    by_owner = {
        owner: {version for who, version in zip(owners, results, strict=True) if who == owner}
        for owner in owners
    }
    assert all(len(versions) == 1 for versions in by_owner.values()), by_owner
    assert len(claims_of(bucket)) == len(by_owner)
