"""The store: newer wins, own writes count at once, what was deleted is not forgotten too early."""

from __future__ import annotations

import json

from mlops_operator.controller.keys import Key, Priority
from mlops_operator.controller.store import Store, is_newer
from tests.unit.controller import objects

WINE = Key("TrainingRun", "ws-a", "wine")


def known_run(**changes: object) -> Store:
    store = Store()
    store.put("TrainingRun", objects.run(**changes))  # type: ignore[arg-type]
    return store


def test_resource_versions_are_compared_as_numbers() -> None:
    assert is_newer("10", "9")
    assert not is_newer("9", "10")
    assert not is_newer("9", "9")
    assert is_newer("b", "a")


def test_a_resource_is_kept_without_managed_fields_and_kubectls_copy() -> None:
    parent = known_run().parent(WINE)
    assert parent is not None
    metadata = json.loads(parent.body)["metadata"]
    assert "managedFields" not in metadata
    assert metadata["annotations"] == {"note": "kept"}


def test_an_older_state_is_dropped_and_wakes_nobody() -> None:
    store = known_run(version=5)
    assert store.put("TrainingRun", objects.run(version=4, status={"phase": "Running"})) == []
    parent = store.parent(WINE)
    assert parent is not None
    assert parent.phase == ""


def test_an_own_write_counts_before_the_watch_tells_it() -> None:
    store = known_run(version=5)
    parent = store.parent(WINE)
    assert parent is not None
    store.status_written(parent, "6", {"phase": "Running", "observedGeneration": 1, "attempts": [{}]})
    written = store.parent(WINE)
    assert written is not None
    assert (written.resource_version, written.phase) == ("6", "Running")
    assert store.put("TrainingRun", objects.run(version=6)) == []


def test_an_own_write_to_a_deleted_resource_does_not_bring_it_back() -> None:
    store = known_run()
    parent = store.parent(WINE)
    assert parent is not None
    assert store.remove("TrainingRun", "ws-a", "wine", "uid-wine") == [WINE]
    store.status_written(parent, "6", {})
    assert store.parent(WINE) is None


def test_a_deleted_child_stays_as_a_tombstone_until_it_is_forgotten() -> None:
    store = known_run()
    store.put("Job", objects.job())
    store.put("Pod", objects.pod())
    assert store.remove("Pod", "ws-a", "wine-1-abc", "uid-pod", objects.pod(phase="Failed")) == [WINE]
    (pod,) = store.pods("ws-a", "uid-wine")
    assert (pod.gone, pod.phase, pod.node_name) == (True, "Failed", "node-1")
    assert store.owner_of_pod("uid-pod") == (WINE, "uid-wine")
    store.forget_tombstones("ws-a", "uid-wine")
    assert store.pods("ws-a", "uid-wine") == ()
    assert store.owner_of_pod("uid-pod") is None


def test_a_child_that_was_made_and_deleted_is_not_brought_back_by_the_answer_to_its_post() -> None:
    store = known_run()
    store.put("Job", objects.job())
    store.remove("Job", "ws-a", "wine-1", "uid-job")
    store.job_created(objects.job()["metadata"])
    assert store.jobs("ws-a", "uid-wine")["wine-1"].gone


def test_a_child_belongs_to_its_owner_of_its_own_namespace_alone() -> None:
    store = known_run()
    store.put("Job", objects.job(namespace="ws-b"))
    assert store.jobs("ws-a", "uid-wine") == {}


def test_a_job_with_our_labels_and_without_our_reference_is_not_ours() -> None:
    store = known_run()
    forged = objects.job()
    forged["metadata"]["ownerReferences"] = []
    assert store.put("Job", forged) == []
    assert store.jobs("ws-a", "uid-wine") == {}


def test_a_change_that_no_decision_reads_wakes_nobody() -> None:
    store = known_run()
    assert store.put("Job", objects.job(version=10)) == [WINE]
    assert store.put("Job", objects.job(version=11)) == []
    assert store.put("Job", objects.job(version=12, conditions=("Failed",))) == [WINE]


def test_a_resource_made_anew_under_its_name_has_nothing_of_the_old_one() -> None:
    store = known_run(version=5)
    store.put("Job", objects.job())
    store.put("TrainingRun", objects.run(uid="uid-new", version=9))
    parent = store.parent(WINE)
    assert parent is not None
    assert parent.uid == "uid-new"
    assert store.jobs("ws-a", "uid-new") == {}


def test_a_dataset_wakes_the_runs_that_wait_for_it() -> None:
    store = known_run(datasets=("grapes",))
    store.put("TrainingRun", objects.run("done", uid="u2", datasets=("grapes",), status={"phase": "Failed"}))
    dataset = objects.run("grapes", uid="uid-data")
    assert store.put("TrainingDataset", dataset) == [Key("TrainingDataset", "ws-a", "grapes"), WINE]


def test_what_a_user_waits_for_comes_first() -> None:
    def priority(generation: int, **status: object) -> Priority:
        return known_run(generation=generation, status=status).priority(WINE)

    assert priority(1) == Priority.FRESH
    assert priority(1, observedGeneration=1, phase="Running", attempts=[{}]) == Priority.NORMAL
    assert priority(1, observedGeneration=1, phase="Succeeded", attempts=[{}]) == Priority.RESYNC
    assert priority(2, observedGeneration=1, phase="Running", attempts=[{}]) == Priority.FRESH


def ended(name: str, day: int, phase: str = "Failed") -> dict[str, object]:
    status = {"phase": phase, "completionTime": f"2026-03-{day:02}T12:00:00Z"}
    return objects.run(name, uid=f"uid-{name}", status=status)


def newer(store: Store, name: str) -> int:
    parent = store.parent(Key("TrainingRun", "ws-a", name))
    assert parent is not None
    return store.newer_ended(parent)


def test_runs_that_ended_alike_are_counted_by_their_time() -> None:
    store = Store()
    store.put("TrainingRun", ended("middle", 2))
    store.put("TrainingRun", ended("old", 1))
    store.put("TrainingRun", ended("good", 3, "Succeeded"))
    store.put("TrainingRun", objects.run("running", uid="u", status={"phase": "Running"}))
    # The oldest one may have to go now.
    assert store.put("TrainingRun", ended("new", 4)) == [
        Key("TrainingRun", "ws-a", "new"),
        Key("TrainingRun", "ws-a", "old"),
    ]
    assert [newer(store, name) for name in ("old", "middle", "new", "good", "running")] == [2, 1, 0, 0, 0]


def test_one_that_goes_lets_the_next_be_looked_at() -> None:
    store = Store()
    for day, name in enumerate(("old", "middle", "new"), start=1):
        store.put("TrainingRun", ended(name, day))
    assert store.remove("TrainingRun", "ws-a", "old", "uid-old") == [
        Key("TrainingRun", "ws-a", "old"),
        Key("TrainingRun", "ws-a", "middle"),
    ]
    assert newer(store, "middle") == 1


def test_a_change_of_an_ended_run_wakes_no_other() -> None:
    store = Store()
    store.put("TrainingRun", ended("old", 1))
    store.put("TrainingRun", ended("new", 2))
    changed = ended("new", 2)
    changed["metadata"]["resourceVersion"] = "2"  # type: ignore[index]
    assert store.put("TrainingRun", changed) == [Key("TrainingRun", "ws-a", "new")]
    assert newer(store, "old") == 1
