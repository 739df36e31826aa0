"""What a run may ask of its pod: the allow-lists of the configuration, and whether the parts fit together."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from mlops_operator.api.trainingrun import TrainingRunSpec
from mlops_operator.api.wire import DATASETS_DIR
from mlops_operator.domain import resources
from mlops_operator.domain.volumes import API_TOKEN_DIR
from mlops_operator.settings import Settings

VOLUME_KINDS = {
    "config_map": "configMap",
    "secret": "secret",
    "persistent_volume_claim": "persistentVolumeClaim",
    "empty_dir": "emptyDir",
    "nfs": "nfs",
}


@dataclass(frozen=True)
class Refusal:
    """Why a run cannot be carried out: a word, and a sentence that says what to do."""

    reason: str
    message: str


def refusals(spec: TrainingRunSpec, settings: Settings) -> Iterator[Refusal]:
    """Give what stands against the pod of a run."""
    yield from _tolerations(spec, settings)
    yield from _named(spec, settings)
    yield from _kinds(spec, settings)
    yield from _mounts(spec)
    yield from _quantities(spec)
    yield from _shared_memory(spec, settings)


def _listed(allowed: Collection[str]) -> str:
    return ", ".join(sorted(allowed)) if allowed else "none"


def _tolerations(spec: TrainingRunSpec, settings: Settings) -> Iterator[Refusal]:
    for toleration in spec.scheduling.tolerations or []:
        if toleration.key in settings.allowed_toleration_keys:
            continue
        asked = f"the taint {toleration.key!r}" if toleration.key else "every taint (no key)"
        yield Refusal(
            "TolerationNotAllowed",
            f"spec.scheduling.tolerations: {asked} must not be tolerated here; allowed keys:"
            f" {_listed(settings.allowed_toleration_keys)}.",
        )


def _named(spec: TrainingRunSpec, settings: Settings) -> Iterator[Refusal]:
    account, allowed = spec.pod.service_account_name, settings.allowed_service_accounts
    if account is not None and account not in allowed:
        yield Refusal("ServiceAccountNotAllowed", _sentence("pod.serviceAccountName", account, allowed))
    priority, allowed = spec.scheduling.priority_class_name, settings.allowed_priority_classes
    if priority is not None and priority not in allowed:
        yield Refusal("PriorityClassNotAllowed", _sentence("scheduling.priorityClassName", priority, allowed))
    runtime, allowed = spec.scheduling.runtime_class_name, settings.allowed_runtime_classes
    if runtime is not None and runtime not in allowed:
        yield Refusal("RuntimeClassNotAllowed", _sentence("scheduling.runtimeClassName", runtime, allowed))


def _sentence(field: str, name: str, allowed: Collection[str]) -> str:
    return f"spec.{field}: {name!r} is not allowed here; allowed: {_listed(allowed)}."


def _kinds(spec: TrainingRunSpec, settings: Settings) -> Iterator[Refusal]:
    for volume in spec.pod.volumes:
        for member, kind in VOLUME_KINDS.items():
            if getattr(volume, member) is not None and kind not in settings.allowed_volume_kinds:
                yield Refusal(
                    "VolumeNotAllowed",
                    f"spec.pod.volumes[{volume.name}]: volumes of kind {kind} are not allowed here; allowed:"
                    f" {_listed(settings.allowed_volume_kinds)}.",
                )


def _mounts(spec: TrainingRunSpec) -> Iterator[Refusal]:
    known = {volume.name for volume in spec.pod.volumes}
    for mount in spec.pod.volume_mounts:
        if mount.name not in known:
            yield Refusal(
                "VolumeNotThere",
                f"spec.pod.volumeMounts[{mount.mount_path}]: there is no volume {mount.name!r} in spec.pod.volumes;"
                f" there are: {_listed(known)}.",
            )
    named = [(f"spec.pod.volumeMounts[{m.mount_path}]", m.mount_path) for m in spec.pod.volume_mounts]
    if spec.pod.scratch is not None:
        named.append(("spec.pod.scratch.mountPath", spec.pod.scratch.mount_path))
    data = [(f"dataset {ref.name}", ref.mount_path or f"{DATASETS_DIR}/{ref.name}") for ref in spec.datasets]
    token = [("the token of the ServiceAccount", API_TOKEN_DIR)]
    for i, (field, path) in enumerate(named):
        for other, taken in (*named[:i], *data, *(token if spec.pod.service_account_name else [])):
            if path == taken or ((other, taken) not in named and _nested(path, taken)):
                yield Refusal("MountsCollide", f"{field}: {path} and {taken} ({other}) hide one another.")


def _nested(one: str, other: str) -> bool:
    return one.startswith(f"{other}/") or other.startswith(f"{one}/")


def _quantities(spec: TrainingRunSpec) -> Iterator[Refusal]:
    """Give the sizes that CRD and model let through and Kubernetes would not take."""
    named = [(f"volumes[{v.name}].emptyDir.sizeLimit", v.empty_dir) for v in spec.pod.volumes]
    sizes = [(field, folder.size_limit) for field, folder in named if folder is not None]
    sizes.append(("sharedMemory", spec.pod.shared_memory))
    sizes.append(("scratch.size", spec.pod.scratch.size if spec.pod.scratch is not None else None))
    for field, size in sizes:
        if size is not None and not resources.amount(size):
            yield Refusal("BadQuantity", f"spec.pod.{field}: {size!r} is not a size such as 500Mi or 4Gi.")


def _shared_memory(spec: TrainingRunSpec, settings: Settings) -> Iterator[Refusal]:
    size = spec.pod.shared_memory
    limit = resources.of_training(spec, settings)["limits"].get("memory")
    if size is not None and limit is not None and resources.exceeds(size, limit):
        yield Refusal(
            "SharedMemoryAboveLimit",
            f"spec.pod.sharedMemory: {size} is more than the memory limit of {limit}, against which it counts. Raise"
            " spec.resources.limits.memory.",
        )
