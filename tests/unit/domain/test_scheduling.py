"""What a run names of its pod's scheduling is in the pod word for word."""

from __future__ import annotations

from mlops_operator.api.trainingrun import TrainingRunSpec
from mlops_operator.domain.scheduling import named
from tests.manifests import FULL


def test_word_for_word() -> None:
    asked = FULL["TrainingRun"]["scheduling"]
    found = named(TrainingRunSpec.model_validate(FULL["TrainingRun"]))
    assert found == {key: asked[key] for key in ("affinity", "priorityClassName", "runtimeClassName")}


def test_nothing_is_added() -> None:
    assert named(TrainingRunSpec.model_validate({"image": "x", "command": ["python"]})) == {}
