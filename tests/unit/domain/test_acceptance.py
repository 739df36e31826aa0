"""What is refused, under which reason, and what the message tells."""

from __future__ import annotations

from typing import Any

import pytest

from mlops_operator.api.trainingrun import TrainingRunSpec
from mlops_operator.domain.acceptance import refusal
from mlops_operator.settings import Settings

SETTINGS = Settings.model_validate(
    {"accelerator_classes": {"gpu-demo": {"resource": "nvidia.com/gpu"}}, "allowed_toleration_keys": ["spot"]}
)
BASE: dict[str, Any] = {"image": "x", "command": ["python"]}


@pytest.mark.parametrize(
    ("more", "reason", "said"),
    [
        ({"accelerator": {"class": "gpu-x"}}, "UnknownAcceleratorClass", "gpu-demo"),
        ({"scheduling": {"tolerations": [{"key": "gpu"}]}}, "TolerationNotAllowed", "under a new name"),
        ({"scheduling": {"tolerations": [{"operator": "Exists"}]}}, "TolerationNotAllowed", "every taint"),
        ({"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1500m"}}}, "RequestAboveLimit", "cpu"),
        ({"parameters": {"a-b": 1, "a_b": 2}}, "ParameterNamesCollide", "PARAM_A_B"),
        ({"datasets": [{"name": "d"}, {"name": "d"}]}, "DatasetTwice", "'d'"),
        (
            {"workingDir": "/app", "outputs": {"model": {"name": "wine", "path": "m.onnx"}}},
            "WorkingDirNotShared",
            "MLOPS_OUTPUT_DIR",
        ),
        ({"workingDir": "/app", "checkpoints": {"path": "runs"}}, "WorkingDirNotShared", "checkpoints.path"),
        ({"metrics": {"sources": [{"type": "Stdout", "pattern": "loss=("}]}}, "BadPattern", "sources[0]"),
        ({"source": {"inline": {"files": {"a": "\u00e4" * 32768}}}}, "SpecTooLarge", "Git"),
    ],
)
def test_refused(more: dict[str, Any], reason: str, said: str) -> None:
    found = refusal(TrainingRunSpec.model_validate({**BASE, **more}), SETTINGS)
    assert found is not None
    assert found.reason == reason
    assert said in found.message


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"accelerator": {"class": "gpu-demo"}},
        {"scheduling": {"tolerations": [{"key": "spot"}]}},
        {"resources": {"requests": {"memory": "1Gi"}, "limits": {"memory": "1024Mi"}}},
        {"workingDir": "/app", "metrics": {"sources": [{"type": "Stdout", "pattern": "(?P<loss>.)"}]}},
        {"workingDir": "/mlops/code/src", "outputs": {"model": {"name": "wine", "path": "m.onnx"}}},
        {"source": {"inline": {"files": {"a": 'print("x")\n' * 2900}}}},
    ],
)
def test_accepted(more: dict[str, Any]) -> None:
    assert refusal(TrainingRunSpec.model_validate({**BASE, **more}), SETTINGS) is None
