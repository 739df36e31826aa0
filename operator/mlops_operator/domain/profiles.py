"""``spec.profile``: a run filled up with the defaults that the platform configured under a name."""

from __future__ import annotations

from typing import Any, TypeVar

from mlops_operator.api.base import Model
from mlops_operator.api.trainingrun import Resources, TrainingRun
from mlops_operator.domain import resources
from mlops_operator.settings import Profile, Settings, Zone

M = TypeVar("M", bound=Model)
# Members of lists by what tells them apart; where the run names one, the profile's gives way. Tolerations add up.
TOLD_APART_BY = {"volumes": "name", "volume_mounts": "mount_path", "image_pull_secrets": "name"}


def applied(run: TrainingRun, settings: Settings, zone: Zone | None) -> tuple[TrainingRun, Settings]:
    """Give the run filled up from its profile and zone, and the settings that allow what the platform wrote there."""
    run, settings = _profiled(run, settings, zone)
    if zone is None or zone.priority_class_name is None:
        return run, settings
    # Allowed also to a run that names it itself, such as one that is made again from its record.
    allowed = [*settings.allowed_priority_classes, zone.priority_class_name]
    settings = settings.model_copy(update={"allowed_priority_classes": allowed})
    if run.spec.scheduling.priority_class_name:
        return run, settings
    scheduling = run.spec.scheduling.model_copy(update={"priority_class_name": zone.priority_class_name})
    return run.model_copy(update={"spec": run.spec.model_copy(update={"scheduling": scheduling})}), settings


def _profiled(run: TrainingRun, settings: Settings, zone: Zone | None) -> tuple[TrainingRun, Settings]:
    name = run.spec.profile or (zone.default_profile if zone is not None else None)
    profile = settings.profiles.get(name) if name is not None else None
    if profile is None:
        return run, settings
    spec = run.spec
    requests, limits = resources.filled(spec.resources, profile.resources.requests, profile.resources.limits)
    named = {variable.name for variable in spec.env}
    update = {
        "resources": Resources(requests=dict(requests), limits=dict(limits)),
        "accelerator": spec.accelerator or profile.accelerator,
        "scheduling": _filled(spec.scheduling, profile.scheduling),
        "pod": _filled(spec.pod, profile.pod),
        "env": [*(variable for variable in profile.env if variable.name not in named), *spec.env],
    }
    return run.model_copy(update={"spec": spec.model_copy(update=update)}), allowing(settings, profile)


def allowing(settings: Settings, profile: Profile) -> Settings:
    """Give the settings with what the platform itself wrote into a profile on its allow-lists."""
    asked, pod = profile.scheduling, profile.pod
    keys = [toleration.key for toleration in asked.tolerations or []]
    named: dict[str, list[str | None]] = {
        "allowed_toleration_keys": keys,
        "allowed_priority_classes": [asked.priority_class_name],
        "allowed_runtime_classes": [asked.runtime_class_name],
        "allowed_service_accounts": [pod.service_account_name],
    }
    return settings.model_copy(
        update={field: [*getattr(settings, field), *filter(None, names)] for field, names in named.items()}
    )


def _filled(own: M, default: M) -> M:
    """Give a member of the spec, filled up: maps and lists are joined, anything else is the run's if it says it."""
    said = {name: getattr(own, name) for name in own.model_fields_set}
    update = {
        name: _joined(name, getattr(default, name), value)
        for name, value in said.items()
        if value is not None
    }
    return default.model_copy(update=update)


def _joined(name: str, default: Any, own: Any) -> Any:
    if isinstance(own, dict):
        return {**(default or {}), **own}
    if not isinstance(own, list):
        return own
    key = TOLD_APART_BY.get(name)
    taken = [getattr(entry, key) if key is not None else entry for entry in own]
    others = [e for e in default or [] if (getattr(e, key) if key is not None else e) not in taken]
    return [*others, *own]
