"""Packages that a run adds to its image: an init container of that image installs them, without any credentials."""

from __future__ import annotations

import re
from posixpath import basename

from mlops_operator.api.trainingrun import TrainingRun, TrainingRunSpec
from mlops_operator.api.wire import BIN_DIR, CODE_DIR, PACKAGES_DIR, RequirementsOrder
from mlops_operator.domain import environment, masking, volumes
from mlops_operator.domain.environment import HOME, Variable, literal
from mlops_operator.domain.plan import Object
from mlops_operator.settings import Settings

VOLUME = "packages"
PYTHON = re.compile(r"^python[0-9.]*$")


def order(spec: TrainingRunSpec) -> RequirementsOrder | None:
    """Give what stage-in prepares."""
    asked = spec.requirements
    if asked is None:
        return None
    return RequirementsOrder(image=spec.image, file=asked.file, packages=asked.packages or [])


def pod_volumes(spec: TrainingRunSpec) -> list[Object]:
    """Give the volume that the packages come through."""
    return [{"name": VOLUME, "emptyDir": {}}] if spec.requirements is not None else []


def mounts(spec: TrainingRunSpec, *, read_only: bool = False) -> list[Object]:
    """Give its mount: stage-in puts an earlier installation in, the sidecar keeps a new one, the command reads it."""
    if spec.requirements is None:
        return []
    entry: Object = {"name": VOLUME, "mountPath": PACKAGES_DIR}
    return [{**entry, "readOnly": True} if read_only else entry]


def containers(run: TrainingRun, train: Object, settings: Settings) -> list[Object]:
    """Give the init container: the training container's image, resources and variables, and its volumes."""
    spec = run.spec
    if spec.requirements is None:
        return []
    file = spec.requirements.file
    what = file if file is not None else f"{PACKAGES_DIR}/requirements.txt"
    copied = ("image", "imagePullPolicy", "resources", "securityContext", "envFrom")
    return [
        {
            **{key: train[key] for key in copied if key in train},
            "name": "requirements",
            "command": [_python(spec), f"{BIN_DIR}/install_packages.py", PACKAGES_DIR, "-r", what],
            "workingDir": CODE_DIR,
            "env": _variables(spec, settings),
            "volumeMounts": [
                {"name": "bin", "mountPath": BIN_DIR, "readOnly": True},
                {"name": "code", "mountPath": CODE_DIR},
                {"name": "home", "mountPath": HOME},
                {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a path in the container
                *mounts(spec),
                *volumes.storage_mounts(spec),
                *masking.mounts(spec),
            ],
            # pip's last lines.
            "terminationMessagePolicy": "FallbackToLogsOnError",
        }
    ]


def _python(spec: TrainingRunSpec) -> str:
    """Give the Python that the command uses, as far as it tells."""
    first = spec.command[0] if spec.command else ""
    return first if PYTHON.match(basename(first)) else "python"


def _variables(spec: TrainingRunSpec, settings: Settings) -> list[Variable]:
    own = {"HOME": HOME, "PYTHONUNBUFFERED": "1"}
    if mask := masking.order(spec):
        own["MLOPS_ENTRYPOINT_MASK"] = mask
    pip = settings.pip
    if pip.index_url:
        own["PIP_INDEX_URL"] = pip.index_url
    if pip.extra_index_urls:
        own["PIP_EXTRA_INDEX_URL"] = " ".join(pip.extra_index_urls)
    if pip.trusted_hosts:
        own["PIP_TRUSTED_HOST"] = " ".join(pip.trusted_hosts)
    return [
        *(literal(name, value) for name, value in own.items()),
        *environment.of_platform(settings),
        *(entry.to_object() for entry in spec.env),
    ]
