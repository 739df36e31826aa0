"""What the entrypoint is told of secret values: names and places, never a value."""

from __future__ import annotations

import json
from typing import Any

from mlops_operator.api.trainingrun import TrainingRunSpec
from mlops_operator.domain import masking
from mlops_operator.domain.effects import CheckSecret


def spec(**fields: Any) -> TrainingRunSpec:
    return TrainingRunSpec.model_validate({"image": "x", "command": ["python"], **fields})


SECRETS = spec(
    env=[
        {"name": "PLAIN", "value": "x"},
        {"name": "MODE", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "mode"}}},
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "token"}}},
        {"name": "MAYBE", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "other", "optional": True}}},
    ],
    envFrom=[
        {"configMapRef": {"name": "settings"}},
        {"prefix": "DB_", "secretRef": {"name": "database"}},
        {"secretRef": {"name": "perhaps", "optional": True}},
    ],
)


def test_names_and_folders() -> None:
    text = masking.order(SECRETS)
    assert text is not None
    assert json.loads(text) == {
        "names": ["MAYBE", "TOKEN"],
        "folders": {"/mlops/masked/0": "DB_", "/mlops/masked/1": ""},
    }


def test_every_folder_has_its_secret() -> None:
    volumes = {volume["name"]: volume["secret"] for volume in masking.volumes(SECRETS)}
    places = {mount["mountPath"]: mount["name"] for mount in masking.mounts(SECRETS)}
    assert volumes[places["/mlops/masked/0"]]["secretName"] == "database"
    assert volumes[places["/mlops/masked/1"]] == {
        "secretName": "perhaps",
        "defaultMode": 0o440,
        "optional": True,
    }
    assert all(mount["readOnly"] for mount in masking.mounts(SECRETS))


def test_what_must_be_there_is_looked_for() -> None:
    assert list(masking.checks(SECRETS, "ws")) == [
        CheckSecret("ws", "database"),
        CheckSecret("ws", "keys", ("token",)),
    ]


def test_nothing_is_secret() -> None:
    plain = spec(env=[{"name": "A", "value": "b"}])
    assert masking.order(plain) is None
    assert [*masking.volumes(plain), *masking.mounts(plain), *masking.checks(plain, "ws")] == []
