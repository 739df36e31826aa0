"""The container that installs packages: the user's image and resources, and nothing that is not the user's."""

from __future__ import annotations

from typing import Any

import pytest

from mlops_operator.api.trainingrun import TrainingRun
from mlops_operator.api.wire import StageInOrder
from mlops_operator.domain.pod import pod_spec
from mlops_operator.settings import Settings
from tests.unit.domain.test_volumes import WORKSPACE

PIP = {"index_url": "https://pypi.example.org/simple", "extra_index_urls": ["https://a", "https://b"]}


def pod_of(settings: Settings | None = None, **more: Any) -> dict[str, Any]:
    spec = {"image": "ml:1", "command": ["python3", "train.py"], **more}
    run = TrainingRun.from_object(
        {"metadata": {"name": "r", "namespace": "ws", "uid": "u" * 9}, "spec": spec}
    )
    return pod_spec(run, 1, workspace=WORKSPACE, datasets=(), secrets=(), settings=settings or Settings())


def variables(container: dict[str, Any]) -> dict[str, Any]:
    return {entry["name"]: entry.get("value") for entry in container["env"]}


def test_without_requirements_there_is_no_such_container() -> None:
    pod = pod_of()
    assert [c["name"] for c in pod["initContainers"]] == ["stage-in", "agent"]
    assert "MLOPS_ENTRYPOINT_PACKAGES_DIR" not in variables(pod["containers"][0])
    assert "packages" not in [v["name"] for v in pod["volumes"]]


def test_the_users_image_installs_with_what_is_the_users_alone() -> None:
    pod = pod_of(
        Settings.model_validate({"pip": PIP}),
        requirements={"file": "more/requirements.txt"},
        source={"git": {"url": "https://git.example.org/a.git"}},
        env=[{"name": "PIP_RETRIES", "value": "1"}],
        envFrom=[{"secretRef": {"name": "index"}}],
        pod={
            "volumes": [{"name": "wheels", "persistentVolumeClaim": {"claimName": "wheels"}}],
            "volumeMounts": [{"name": "wheels", "mountPath": "/wheels"}],
        },
    )
    names = [c["name"] for c in pod["initContainers"]]
    assert names == ["stage-in", "requirements", "agent"]
    stage_in, installer, agent = pod["initContainers"]
    (train,) = pod["containers"]
    for key in ("image", "resources", "securityContext", "envFrom"):
        assert installer[key] == train[key]
    script = "/mlops/bin/install_packages.py"
    assert installer["command"] == ["python3", script, "/mlops/packages", "-r", "more/requirements.txt"]
    found = variables(installer)
    assert found["PIP_INDEX_URL"] == PIP["index_url"]
    assert found["PIP_EXTRA_INDEX_URL"] == "https://a https://b"
    assert found["PIP_RETRIES"] == "1"
    mounts = {m["name"]: m for m in installer["volumeMounts"]}
    assert set(mounts) == {"bin", "code", "home", "tmp", "packages", "user-wheels", "masked-0"}
    assert variables(train)["MLOPS_ENTRYPOINT_PACKAGES_DIR"] == "/mlops/packages/venv"
    (read,) = [m for m in train["volumeMounts"] if m["name"] == "packages"]
    assert read["readOnly"] is True
    for container in (stage_in, agent):
        assert "packages" in [m["name"] for m in container["volumeMounts"]]
    order = StageInOrder.model_validate_json(stage_in["env"][0]["value"].replace("$$", "$"))
    assert order.requirements is not None
    assert (order.requirements.image, order.requirements.file) == ("ml:1", "more/requirements.txt")


@pytest.mark.parametrize(
    ("command", "python"),
    [
        (["/opt/conda/bin/python", "train.py"], "/opt/conda/bin/python"),
        (["python3.12", "-m", "train"], "python3.12"),
        (["torchrun", "train.py"], "python"),
        (["pythonish"], "python"),
    ],
)
def test_the_python_is_that_of_the_command(command: list[str], python: str) -> None:
    pod = pod_of(command=command, requirements={"packages": ["numpy"]})
    installer = pod["initContainers"][1]
    assert installer["command"][0] == python
    assert installer["command"][-1] == "/mlops/packages/requirements.txt"
