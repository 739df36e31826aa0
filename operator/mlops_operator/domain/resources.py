"""What containers ask for: defaults of the configuration, accelerators, quantities."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal

from mlops_operator.api.trainingrun import Resources, Toleration, TrainingRunSpec
from mlops_operator.settings import ResourceDefaults, Settings

QUANTITY = re.compile(r"^([0-9]+(?:\.[0-9]+)?)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$")
FACTORS = {
    "": Decimal(1),
    "m": Decimal("0.001"),
    **{unit: Decimal(1000) ** power for power, unit in enumerate("kMGTPE", 1)},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", 1)},
}


def amount(quantity: str | int) -> Decimal | None:
    """Give a quantity as a number; None where it is not one."""
    match = QUANTITY.match(str(quantity))
    return Decimal(match[1]) * FACTORS[match[2] or ""] if match else None


def whole(quantity: str | None) -> int | None:
    """Give a quantity in whole units, such as bytes."""
    found = amount(quantity) if quantity is not None else None
    return int(found) if found is not None else None


def exceeds(left: str | int, right: str | int) -> bool:
    """Whether one quantity is larger than another; False where one of them is not a quantity."""
    a, b = amount(left), amount(right)
    return a is not None and b is not None and a > b


def fixed(defaults: ResourceDefaults) -> dict[str, dict[str, str]]:
    """As a container's ``resources``."""
    return {"requests": dict(defaults.requests), "limits": dict(defaults.limits)}


def filled(
    own: Resources,
    default_requests: Mapping[str, str | int] | None,
    default_limits: Mapping[str, str | int] | None,
) -> tuple[dict[str, str], dict[str, str]]:
    """Give requests and limits, filled up.

    A default gives way to what the run names: a default request is never above the run's limit, nor a default limit
    below its request.
    """
    asked, bounded = _text(own.requests), _text(own.limits)
    requests = {**_text(default_requests), **asked}
    limits = {**_text(default_limits), **bounded}
    for name in [name for name in requests if name in limits and exceeds(requests[name], limits[name])]:
        if name not in asked:
            requests[name] = limits[name]
        elif name not in bounded:
            limits[name] = requests[name]
    return requests, limits


def of_training(spec: TrainingRunSpec, settings: Settings) -> dict[str, dict[str, str]]:
    """``resources`` of the training container: what the run names, filled up from the configuration.

    Extended resources are asked for and limited alike, as Kubernetes wants it.
    """
    default = settings.training_resources
    default_requests = dict(default.requests)
    if spec.pod.scratch is not None and spec.pod.scratch.storage_class_name is None:
        # So that the scheduler takes a node that has the room.
        default_requests.setdefault("ephemeral-storage", str(spec.pod.scratch.size))
    requests, limits = filled(spec.resources, default_requests, default.limits)
    for name in {*requests, *limits}:
        if "/" in name:
            limits.setdefault(name, requests.get(name, ""))
            requests[name] = limits[name]
    accelerator = spec.accelerator
    if accelerator is not None and accelerator.class_ in settings.accelerator_classes:
        resource = settings.accelerator_classes[accelerator.class_].resource
        requests[resource] = limits[resource] = str(accelerator.count)
    return {"requests": dict(sorted(requests.items())), "limits": dict(sorted(limits.items()))}


def _text(values: Mapping[str, str | int] | None) -> dict[str, str]:
    return {name: str(value) for name, value in (values or {}).items()}


def node_selector(spec: TrainingRunSpec, settings: Settings) -> dict[str, str]:
    """Labels that the node must have: of the run and of its accelerator class."""
    chosen = dict(spec.scheduling.node_selector or {})
    if spec.accelerator is not None and spec.accelerator.class_ in settings.accelerator_classes:
        chosen.update(settings.accelerator_classes[spec.accelerator.class_].node_selector)
    return chosen


def tolerations(spec: TrainingRunSpec, settings: Settings) -> list[Toleration]:
    """Taints that are tolerated: of the run and of its accelerator class."""
    chosen = list(spec.scheduling.tolerations or [])
    if spec.accelerator is not None and spec.accelerator.class_ in settings.accelerator_classes:
        chosen.extend(settings.accelerator_classes[spec.accelerator.class_].tolerations)
    return chosen


def shared_memory(memory_limit: str | None) -> str | None:
    """Half of the memory limit, in bytes: the size of /dev/shm."""
    bytes_ = amount(memory_limit) if memory_limit is not None else None
    return str(int(bytes_ / 2)) if bytes_ else None
