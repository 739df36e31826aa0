"""Zones: what the platform allows to runs of a namespace, chosen by a label of the namespace."""

from __future__ import annotations

from decimal import Decimal

from mlops_operator.api.trainingrun import TrainingRunSpec
from mlops_operator.domain import resources
from mlops_operator.domain.observed import NamespaceView
from mlops_operator.domain.waiting import Waiting
from mlops_operator.settings import Settings, Zone

RETRY_SECONDS = 60.0


def name_of(settings: Settings, namespace: NamespaceView | None) -> str | None:
    """Give the name of a namespace's zone, whether there is such a zone or not."""
    return (namespace.zone if namespace is not None else None) or settings.default_zone


def find(settings: Settings, namespace: NamespaceView | None) -> Zone | None:
    """Give the zone of a namespace; None where none is configured for it."""
    return settings.zones.get(name_of(settings, namespace) or "")


def narrowed(settings: Settings, zone: Zone | None) -> Settings:
    """Give the settings as they hold in a zone: with its profiles and accelerator classes alone."""
    if zone is None:
        return settings
    profiles, classes = settings.profiles, settings.accelerator_classes
    if zone.profiles is not None:
        allowed = {*zone.profiles, zone.default_profile}
        profiles = {name: profile for name, profile in profiles.items() if name in allowed}
    if zone.accelerator_classes is not None:
        classes = {name: found for name, found in classes.items() if name in zone.accelerator_classes}
    return settings.model_copy(update={"profiles": profiles, "accelerator_classes": classes})


def is_unseen(settings: Settings, namespace: NamespaceView | None) -> bool:
    """Whether it is still to be seen which zone it is: a run can be there before its namespace's labels are."""
    return bool(settings.zones) and namespace is None


def unknown(settings: Settings, view: NamespaceView | None, namespace: str) -> Waiting | None:
    """Give a label that names no zone: its limits are not guessed."""
    name = name_of(settings, view)
    if not settings.zones or name is None or name in settings.zones:
        return None
    return Waiting(
        "ZoneUnknown",
        f"Namespace {namespace} is labelled {settings.zone_label}={name}, and the operator's configuration has no such"
        f" zone; there are: {', '.join(sorted(settings.zones))}. The platform corrects the label or the configuration.",
        RETRY_SECONDS,
    )


def too_much(spec: TrainingRunSpec, settings: Settings, view: NamespaceView | None) -> str | None:
    """Say which of its zone's bounds a run could never keep to; None: it fits."""
    zone = find(settings, view)
    if zone is None or not zone.max_resources:
        return None
    asked = resources.of_training(spec, settings)
    pods = spec.worker_count
    over = []
    for name, bound in sorted(zone.max_resources.items()):
        one = asked["limits"].get(name, asked["requests"].get(name))
        each, most = resources.amount(one or "0"), resources.amount(bound)
        if one is not None and each is not None and most is not None and each * Decimal(pods) > most:
            over.append(f"{name}: {f'{pods} times ' if pods > 1 else ''}{one} asked, {bound} allowed")
    if not over:
        return None
    return (
        f"spec: zone {name_of(settings, view)} allows a run less than this one asks for: {'; '.join(over)}. Ask for"
        " less (spec.resources, spec.accelerator, spec.profile), or for another zone."
    )
