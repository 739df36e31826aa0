"""The variables of SageMaker and Vertex AI, as their own scripts read them."""

from __future__ import annotations

import json
from typing import Any

from mlops_operator.api.trainingrun import TrainingRun
from mlops_operator.domain.conventions import gpus, variables
from mlops_operator.settings import Settings

SETTINGS = Settings.model_validate({"accelerator_classes": {"gpu-demo": {"resource": "nvidia.com/gpu"}}})


def run(**fields: Any) -> TrainingRun:
    return TrainingRun.from_object(
        {
            "metadata": {"name": "wine", "namespace": "ws-alice", "uid": "u"},
            "spec": {"image": "x", "command": ["python"], **fields},
        }
    )


FULL = run(
    parameters={"batch-size": 256, "learning-rate": 1e-4, "communicator": "nccl", "shuffle": True},
    datasets=[
        {"name": "training", "include": ["*.csv"]},
        {"name": "test", "mountPath": "/data/test", "include": ["*.csv"]},
    ],
    resources={"limits": {"cpu": "1500m"}},
    accelerator={"class": "gpu-demo", "count": 2},
)


def test_sagemaker() -> None:
    found = variables(FULL, 1, SETTINGS)
    assert found["SM_MODEL_DIR"] == "/mlops/output/model"
    assert json.loads(found["SM_CHANNELS"]) == ["test", "training"]
    assert found["SM_CHANNEL_TRAINING"] == "/mlops/datasets/training"
    assert found["SM_CHANNEL_TEST"] == "/data/test"
    assert json.loads(found["SM_HPS"]) == FULL.spec.parameters
    assert (found["SM_HP_BATCH-SIZE"], found["SM_HP_LEARNING-RATE"]) == ("256", "0.0001")
    assert (found["SM_HP_COMMUNICATOR"], found["SM_HP_SHUFFLE"]) == ("nccl", "true")
    assert json.loads(found["SM_USER_ARGS"])[:2] == ["--batch-size", "256"]
    assert (found["SM_NUM_CPUS"], found["SM_NUM_GPUS"]) == ("2", "2")
    assert found["SM_CURRENT_HOST"] in json.loads(found["SM_HOSTS"])
    environment = json.loads(found["SM_TRAINING_ENV"])
    assert environment["channel_input_dirs"]["training"] == found["SM_CHANNEL_TRAINING"]
    assert environment["hyperparameters"] == FULL.spec.parameters
    assert environment["resource_config"] == json.loads(found["SM_RESOURCE_CONFIG"])
    assert set(json.loads(found["SM_INPUT_DATA_CONFIG"])) == {"training", "test"}


def test_vertex() -> None:
    found = variables(FULL, 1, SETTINGS)
    assert found["AIP_MODEL_DIR"] == "/mlops/output/model/"
    assert found["AIP_CHECKPOINT_DIR"].endswith("/")
    assert found["AIP_TENSORBOARD_LOG_DIR"].endswith("/")
    assert found["AIP_DATA_FORMAT"] == "csv"
    assert found["AIP_TRAINING_DATA_URI"] == "/mlops/datasets/training/*"
    assert found["AIP_TEST_DATA_URI"] == "/data/test/*"
    assert "AIP_VALIDATION_DATA_URI" not in found


def test_one_dataset_is_the_training_data_of_a_format_that_is_said_only_where_it_is_known() -> None:
    found = variables(run(datasets=[{"name": "wine"}]), 1, SETTINGS)
    assert found["AIP_TRAINING_DATA_URI"] == "/mlops/datasets/wine/*"
    assert "AIP_DATA_FORMAT" not in found
    assert "AIP_TRAINING_DATA_URI" not in variables(run(), 1, SETTINGS)


def test_what_the_run_sets_itself_is_left_to_it() -> None:
    found = variables(run(env=[{"name": "SM_MODEL_DIR", "value": "/mlops/output/other"}]), 1, SETTINGS)
    assert "SM_MODEL_DIR" not in found
    assert "AIP_MODEL_DIR" in found


def test_gpus_that_are_asked_for_by_name() -> None:
    assert gpus(run(resources={"limits": {"nvidia.com/gpu": 3}}), SETTINGS) == 3
    assert gpus(run(), SETTINGS) == 0
