"""Several workers: what their launchers read, by which names they find each other, and the Job of them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from mlops_operator.api.base import ObjectMeta
from mlops_operator.api.trainingrun import TrainingRun
from mlops_operator.api.wire import WORKER_VARIABLE
from mlops_operator.domain import distributed, environment
from mlops_operator.domain.job import job
from mlops_operator.settings import ProxySettings, Settings

Object = dict[str, Any]
REFERENCE = re.compile(r"\$\$|\$\(([A-Z_]+)\)")


def run(name: str = "wine", **spec: Any) -> TrainingRun:
    meta = {"name": name, "namespace": "ws-alice", "uid": "0a1b2c3d-1"}
    return TrainingRun.from_object({"metadata": meta, "spec": {"image": "x", "command": ["y"], **spec}})


def workers(count: int, launcher: str = "None") -> Object:
    return {"count": count, "launcher": launcher}


def _referred(found: re.Match[str], seen: dict[str, str]) -> str:
    return "$" if found[0] == "$$" else seen.get(found[1], found[0])


def values(of: TrainingRun, index: int, settings: Settings | None = None) -> dict[str, str]:
    """Give the variables as the kubelet would for a worker: in order, each seeing those before it."""
    seen: dict[str, str] = {}
    for variable in environment.of_training(of, 1, settings or Settings()):
        text = str(variable.get("value", index))
        seen[str(variable["name"])] = REFERENCE.sub(lambda found: _referred(found, seen), text)
    return seen


def test_a_run_without_workers_knows_nothing_of_them() -> None:
    found = values(run(), 0)
    assert not {"MASTER_ADDR", "RANK", "WORLD_SIZE", "TF_CONFIG", WORKER_VARIABLE} & set(found)
    assert not any(name.startswith("PET_") for name in found)


def test_every_launcher_has_rank_and_master() -> None:
    for launcher in ("None", "Torchrun", "TensorFlow"):
        found = values(run(workers=workers(3, launcher)), 2)
        assert (found["RANK"], found["WORLD_SIZE"]) == ("2", "3")
        assert (found["MASTER_ADDR"], found["MASTER_PORT"]) == ("wine-1-0.wine-1", "29500")
        assert (found["MLOPS_WORKER_INDEX"], found["MLOPS_WORKER_COUNT"]) == ("2", "3")
        assert found["MLOPS_WORKER_HOSTS"] == "wine-1-0.wine-1,wine-1-1.wine-1,wine-1-2.wine-1"
        assert ("TF_CONFIG" in found) == (launcher == "TensorFlow")
        assert ("PET_NNODES" in found) == (launcher == "Torchrun")


def test_torchrun_starts_a_process_for_each_gpu() -> None:
    found = values(run(workers=workers(2, "Torchrun"), accelerator={"class": "gpu", "count": 4}), 1)
    assert {name: value for name, value in found.items() if name.startswith("PET_")} == {
        "PET_NNODES": "2",
        "PET_NODE_RANK": "1",
        "PET_NPROC_PER_NODE": "4",
        "PET_MASTER_ADDR": "wine-1-0.wine-1",
        "PET_MASTER_PORT": "29500",
    }
    assert values(run(workers=workers(2, "Torchrun")), 1)["PET_NPROC_PER_NODE"] == "1"


def test_tensorflow_finds_its_task() -> None:
    assert json.loads(values(run(workers=workers(2, "TensorFlow")), 1)["TF_CONFIG"]) == {
        "cluster": {"worker": ["wine-1-0.wine-1:2222", "wine-1-1.wine-1:2222"]},
        "task": {"type": "worker", "index": 1},
    }


def test_sagemakers_names_are_those_of_the_workers() -> None:
    found = values(run(workers=workers(2), parameters={"text": "$(MASTER_ADDR) $5"}), 1)
    names = ["wine-1-0.wine-1", "wine-1-1.wine-1"]
    assert (json.loads(found["SM_HOSTS"]), found["SM_CURRENT_HOST"]) == (names, names[1])
    assert json.loads(found["SM_RESOURCE_CONFIG"]) == {"current_host": names[1], "hosts": names}
    assert json.loads(found["SM_TRAINING_ENV"])["current_host"] == names[1]
    assert found["SM_HP_TEXT"] == "$(MASTER_ADDR) $5"


def test_one_worker_is_its_own_master() -> None:
    found = values(run(workers=workers(1, "Torchrun")), 0)
    assert (found["RANK"], found["WORLD_SIZE"], found["MASTER_ADDR"]) == ("0", "1", "localhost")
    assert distributed.service(run(workers=workers(1)), 1) is None


def test_peers_are_not_looked_for_behind_the_proxy() -> None:
    settings = Settings(proxy=ProxySettings(http="http://proxy:3128"))
    assert "wine-1-1.wine-1" in values(run(workers=workers(2)), 0, settings)["NO_PROXY"].split(",")


def test_the_first_waits_for_the_others() -> None:
    own = Settings().acknowledge_seconds
    waits = {w: values(run(workers=workers(w)), 0)["MLOPS_ENTRYPOINT_ACK_SECONDS"] for w in (1, 2)}
    assert int(waits[1]) == own
    assert int(waits[2]) > 86400
    bounded = values(run(workers=workers(2), deadlineSeconds=60), 0)["MLOPS_ENTRYPOINT_ACK_SECONDS"]
    assert int(bounded) == own + 60


@pytest.mark.parametrize("name", ["wine", "7-wines", "7" * 52])
def test_job_and_service_give_each_worker_its_name(name: str) -> None:
    of = run(name, workers=workers(64))
    plain = job("TrainingRun", of.metadata, name=f"{name}-1", number=1, pod={"containers": []})
    made, service = distributed.index_job(plain, of), distributed.service(of, 1)
    assert service is not None
    assert {made["spec"][key] for key in ("completions", "parallelism")} == {64}
    assert (made["spec"]["completionMode"], made["spec"]["backoffLimit"]) == ("Indexed", 0)
    subdomain = made["spec"]["template"]["spec"]["subdomain"]
    assert subdomain == service["metadata"]["name"]
    assert service["spec"]["selector"] == {"batch.kubernetes.io/job-name": f"{name}-1"}
    assert service["metadata"]["ownerReferences"][0]["uid"] == of.metadata.uid
    for label in (subdomain, f"{name}-1-63"):
        assert len(label) <= 63
    assert subdomain[0].isalpha()
    assert distributed.hosts(of, 1)[63] == f"{name}-1-63.{subdomain}"


def test_a_run_of_one_pod_has_a_plain_job() -> None:
    plain = job("TrainingRun", ObjectMeta(name="wine", uid="u"), name="wine-1", number=1, pod={})
    assert distributed.index_job(plain, run()) == plain
    assert distributed.services_of(run(), [("wine-1", "j")]) == ()
    assert distributed.services_of(run(workers=workers(2)), [("wine-1", "j")]) == ("wine-1",)
