"""Several pods that train together: their names in DNS, their variables, their Job and its Service.

Worker 0 is the one that the others meet at. Its name is in DNS as soon as its pod has an address, ready or not.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from mlops_operator.api.trainingrun import TrainingRun
from mlops_operator.api.wire import WORKER_VARIABLE
from mlops_operator.domain.naming import job_name, owner_labels, owner_reference, service_name
from mlops_operator.domain.plan import Object
from mlops_operator.settings import Settings

# What PyTorch and TensorFlow take where nothing is said.
MASTER_PORT = 29500
TENSORFLOW_PORT = 2222
INDEX_LABEL = "batch.kubernetes.io/job-completion-index"
# How long worker 0 waits for the others where the run has no deadline.
LONGEST_SECONDS = 30 * 86400
# Kubernetes replaces it by the pod's own index.
OWN_INDEX = f"$({WORKER_VARIABLE})"
Variable = dict[str, object]


def hosts(run: TrainingRun, attempt: int) -> list[str]:
    """Give the names of the workers, by index."""
    job = job_name(run.metadata.name, attempt)
    if run.spec.worker_count == 1:
        return ["localhost"]
    return [f"{job}-{index}.{service_name(job)}" for index in range(run.spec.worker_count)]


def own_host(run: TrainingRun, attempt: int) -> str:
    """Give the name of the worker that reads it: with `OWN_INDEX` in it, where there are several."""
    first = hosts(run, attempt)[0]
    return first if run.spec.worker_count == 1 else first.replace("-0.", f"-{OWN_INDEX}.", 1)


def with_own_index(variable: Variable) -> Variable:
    """Let Kubernetes replace `OWN_INDEX` in a variable that is taken literally beside it."""
    return {**variable, "value": str(variable["value"]).replace(f"${OWN_INDEX}", OWN_INDEX)}


def index_variables(run: TrainingRun) -> list[Variable]:
    """Tell a container which worker it belongs to; empty where the run has one pod."""
    if run.spec.worker_count == 1:
        return []
    field = {"fieldPath": f"metadata.labels['{INDEX_LABEL}']"}
    return [{"name": WORKER_VARIABLE, "valueFrom": {"fieldRef": field}}]


def variables(run: TrainingRun, attempt: int) -> list[Variable]:
    """Tell the command of its peers, in the words of its launcher; nothing where the run names no workers."""
    workers = run.spec.workers
    if workers is None:
        return []
    names = hosts(run, attempt)
    own = index_variables(run) or [{"name": WORKER_VARIABLE, "value": "0"}]
    values = {
        "MLOPS_WORKER_COUNT": str(workers.count),
        "MLOPS_WORKER_HOSTS": ",".join(names),
        "MASTER_ADDR": names[0],
        "MASTER_PORT": str(MASTER_PORT),
        "WORLD_SIZE": str(workers.count),
        "RANK": OWN_INDEX,
    }
    if workers.launcher == "Torchrun":
        values |= _torchrun(run, names[0])
    elif workers.launcher == "TensorFlow":
        values["TF_CONFIG"] = _tf_config(names)
    own += [{"name": name, "value": value} for name, value in values.items()]
    return own


def acknowledge_seconds(run: TrainingRun, settings: Settings) -> int:
    """Give how long a command that has ended waits for its upload: worker 0 for the end of all the others, too."""
    if run.spec.worker_count == 1:
        return settings.acknowledge_seconds
    return settings.acknowledge_seconds + (run.spec.deadline_seconds or LONGEST_SECONDS)


def _torchrun(run: TrainingRun, master: str) -> dict[str, str]:
    """Give what torchrun reads in place of its options: a process for each GPU, one where there is none."""
    accelerator = run.spec.accelerator
    return {
        "PET_NNODES": str(run.spec.worker_count),
        "PET_NODE_RANK": OWN_INDEX,
        "PET_NPROC_PER_NODE": str(accelerator.count if accelerator is not None else 1),
        "PET_MASTER_ADDR": master,
        "PET_MASTER_PORT": str(MASTER_PORT),
    }


def _tf_config(names: list[str]) -> str:
    cluster = {"worker": [f"{name}:{TENSORFLOW_PORT}" for name in names]}
    task = {"type": "worker", "index": "own"}
    return json.dumps({"cluster": cluster, "task": task}).replace('"own"', OWN_INDEX)


def index_job(job: Object, run: TrainingRun) -> Object:
    """Make a Job one of several workers, each with its index and its name; as it was where the run has one pod."""
    count = run.spec.worker_count
    if count == 1:
        return job
    spec = job["spec"]
    template = spec["template"]
    pod = {**template["spec"], "subdomain": service_name(job["metadata"]["name"])}
    indexed = {"completionMode": "Indexed", "completions": count, "parallelism": count}
    return {**job, "spec": {**spec, **indexed, "template": {**template, "spec": pod}}}


def service(run: TrainingRun, attempt: int) -> Object | None:
    """Give the headless Service that gives the workers of an attempt their names; None where the run has one pod."""
    if run.spec.worker_count == 1:
        return None
    job = job_name(run.metadata.name, attempt)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": service_name(job),
            "namespace": run.metadata.namespace,
            "labels": owner_labels("TrainingRun", run.metadata, attempt),
            "ownerReferences": [owner_reference("TrainingRun", run.metadata)],
        },
        "spec": {
            "clusterIP": "None",
            # A worker looks for its peers before they are ready.
            "publishNotReadyAddresses": True,
            "selector": {"batch.kubernetes.io/job-name": job},
        },
    }


def services_of(run: TrainingRun, jobs: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """Give the names of the Services that go with these Jobs (name, uid)."""
    return tuple(service_name(name) for name, _ in jobs) if run.spec.worker_count > 1 else ()
