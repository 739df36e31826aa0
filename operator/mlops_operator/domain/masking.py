"""Which variables of the training container hold secret values.

The operator tells names alone. Which keys a whole Secret (``envFrom``) has may change until the pod starts, so it is
mounted, too, for the entrypoint to read: it masks exactly the values that the kubelet gave.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from mlops_operator.api.trainingrun import EnvFromSource, TrainingRunSpec
from mlops_operator.api.wire import MASKED_DIR
from mlops_operator.domain.effects import CheckSecret
from mlops_operator.domain.plan import Object

SECRET_MODE = 0o440


def order(spec: TrainingRunSpec) -> str | None:
    """Give what the entrypoint is to mask, as its README describes; None: nothing."""
    names = sorted(entry.name for entry in spec.env if entry.value_from and entry.value_from.secret_key_ref)
    folders = {f"{MASKED_DIR}/{i}": source.prefix or "" for i, source in enumerate(_secrets(spec))}
    return json.dumps({"names": names, "folders": folders}) if names or folders else None


def volumes(spec: TrainingRunSpec) -> list[Object]:
    """Give the volumes of the Secrets that the pod takes as a whole."""
    return [
        {
            "name": f"masked-{i}",
            "secret": {
                "secretName": source.secret_ref.name,
                "defaultMode": SECRET_MODE,
                "optional": bool(source.secret_ref.optional),
            },
        }
        for i, source in enumerate(_secrets(spec))
        if source.secret_ref is not None
    ]


def mounts(spec: TrainingRunSpec) -> list[Object]:
    """Give their mounts in the training container."""
    return [
        {"name": f"masked-{i}", "mountPath": f"{MASKED_DIR}/{i}", "readOnly": True}
        for i, _ in enumerate(_secrets(spec))
    ]


def checks(spec: TrainingRunSpec, namespace: str) -> Iterator[CheckSecret]:
    """Give what must be there before the pod is made: one without its Secret shows only ContainerCreating."""
    for source in _secrets(spec):
        if source.secret_ref is not None and not source.secret_ref.optional:
            yield CheckSecret(namespace, source.secret_ref.name)
    for entry in spec.env:
        key = entry.value_from.secret_key_ref if entry.value_from is not None else None
        if key is not None and not key.optional:
            yield CheckSecret(namespace, key.name, (key.key,))


def _secrets(spec: TrainingRunSpec) -> list[EnvFromSource]:
    return [source for source in spec.env_from if source.secret_ref is not None]
