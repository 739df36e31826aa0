"""Variables that scripts written for SageMaker (``SM_*``) and Vertex AI (``AIP_*``) know, pointing to our places.

SageMaker: ENVIRONMENT_VARIABLES.md of aws/sagemaker-training-toolkit. Vertex AI: "Use managed datasets" and
CustomJobSpec.baseOutputDirectory of its documentation.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

from mlops_operator.api.base import Scalar
from mlops_operator.api.trainingrun import DatasetRef, TrainingRun
from mlops_operator.api.wire import (
    CODE_DIR,
    DATASETS_DIR,
    MODEL_DIR,
    OUTPUT_DIR,
    TENSORBOARD_DIR,
)
from mlops_operator.domain import checkpoints, distributed, resources
from mlops_operator.settings import Settings

HOST = "algo-1"  # of a run with one pod
LOG_LEVEL = 20  # INFO, in Python
INTERFACE = "eth0"
# Names of datasets that Vertex AI's parts go by.
PARTS = {
    "AIP_TRAINING_DATA_URI": ("training", "train"),
    "AIP_VALIDATION_DATA_URI": ("validation", "valid", "val"),
    "AIP_TEST_DATA_URI": ("test", "testing"),
}
FORMATS = {".csv": "csv", ".jsonl": "jsonl"}


def variables(run: TrainingRun, attempt: int, settings: Settings) -> dict[str, str]:
    """Give all of them; what the run sets itself under such a name is left to it."""
    own = {entry.name for entry in run.spec.env}
    found = {**sagemaker(run, attempt, settings), **vertex(run)}
    return {name: value for name, value in found.items() if name not in own}


def gpus(run: TrainingRun, settings: Settings) -> int:
    """Give how many GPUs the container has."""
    if run.spec.accelerator is not None:
        return run.spec.accelerator.count
    limits = resources.of_training(run.spec, settings)["limits"]
    return sum(int(resources.amount(value) or 0) for name, value in limits.items() if name.endswith("/gpu"))


def sagemaker(run: TrainingRun, attempt: int, settings: Settings) -> dict[str, str]:
    """Give what SageMaker's training toolkit sets: a channel is a dataset, a hyperparameter a parameter."""
    parameters = run.spec.parameters
    channels = {ref.name: folder(ref) for ref in run.spec.datasets}
    hosts = _resource_config(run, attempt)
    environment = _training_environment(run, channels, settings) | hosts | {"resource_config": hosts}
    return {
        "SM_MODEL_DIR": MODEL_DIR,
        "SM_OUTPUT_DIR": OUTPUT_DIR,
        "SM_OUTPUT_DATA_DIR": OUTPUT_DIR,
        "SM_MODULE_DIR": CODE_DIR,
        "SM_CHANNELS": _json(sorted(channels)),
        **{f"SM_CHANNEL_{name.upper()}": path for name, path in channels.items()},
        "SM_HPS": _json(parameters),
        **{f"SM_HP_{name.upper()}": _text(value) for name, value in parameters.items()},
        "SM_USER_ARGS": _json(_arguments(parameters)),
        "SM_NUM_CPUS": str(environment["num_cpus"]),
        "SM_NUM_GPUS": str(environment["num_gpus"]),
        "SM_CURRENT_HOST": str(hosts["current_host"]),
        "SM_HOSTS": _json(hosts["hosts"]),
        "SM_LOG_LEVEL": str(LOG_LEVEL),
        "SM_NETWORK_INTERFACE_NAME": INTERFACE,
        "SM_RESOURCE_CONFIG": _json(hosts),
        "SM_INPUT_DATA_CONFIG": _json(environment["input_data_config"]),
        "SM_TRAINING_ENV": _json(environment),
        "TRAINING_JOB_NAME": run.metadata.name,
    }


def _training_environment(
    run: TrainingRun, channels: Mapping[str, str], settings: Settings
) -> dict[str, object]:
    cpu = resources.amount(resources.of_training(run.spec, settings)["limits"].get("cpu", "1"))
    file_mode = {
        "TrainingInputMode": "File",
        "S3DistributionType": "FullyReplicated",
        "RecordWrapperType": "None",
    }
    return {
        "channel_input_dirs": dict(channels),
        "hyperparameters": dict(run.spec.parameters),
        "input_data_config": dict.fromkeys(channels, file_mode),
        "job_name": run.metadata.name,
        "log_level": LOG_LEVEL,
        "model_dir": MODEL_DIR,
        "module_dir": CODE_DIR,
        "network_interface_name": INTERFACE,
        "num_cpus": max(1, math.ceil(cpu or 1)),
        "num_gpus": gpus(run, settings),
        "output_data_dir": OUTPUT_DIR,
        "output_dir": OUTPUT_DIR,
    }


def _resource_config(run: TrainingRun, attempt: int) -> dict[str, object]:
    if run.spec.worker_count == 1:
        return {"current_host": HOST, "hosts": [HOST]}
    return {"current_host": distributed.own_host(run, attempt), "hosts": distributed.hosts(run, attempt)}


def vertex(run: TrainingRun) -> dict[str, str]:
    """Give what Vertex AI sets for a custom job; folders end with a slash there."""
    found = {
        "AIP_MODEL_DIR": f"{MODEL_DIR}/",
        "AIP_CHECKPOINT_DIR": f"{checkpoints.folder(run.spec)}/",
        "AIP_TENSORBOARD_LOG_DIR": f"{TENSORBOARD_DIR}/",
    }
    datasets = {ref.name: ref for ref in run.spec.datasets}
    used: list[DatasetRef] = []
    for variable, names in PARTS.items():
        ref = next((datasets[name] for name in names if name in datasets), None)
        if ref is None and variable == "AIP_TRAINING_DATA_URI" and len(datasets) == 1:
            ref = next(iter(datasets.values()))
        if ref is not None and ref not in used:
            found[variable] = f"{folder(ref)}/*"
            used.append(ref)
    formats = {_format(glob) for ref in used for glob in ref.include or [""]}
    if len(formats) == 1 and (only := formats.pop()):
        found["AIP_DATA_FORMAT"] = only
    return found


def folder(ref: DatasetRef) -> str:
    """Give where a dataset's files are."""
    return ref.mount_path or f"{DATASETS_DIR}/{ref.name}"


def _format(glob: str) -> str:
    return next((name for suffix, name in FORMATS.items() if glob.endswith(suffix)), "")


def _arguments(parameters: Mapping[str, Scalar]) -> list[str]:
    return [word for name, value in parameters.items() for word in (f"--{name}", _text(value))]


def _text(value: Scalar) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
