"""Where a pod runs and what goes before it, as the run names it."""

from __future__ import annotations

from mlops_operator.api.trainingrun import TrainingRunSpec
from mlops_operator.domain.plan import Object


def named(spec: TrainingRunSpec) -> Object:
    """Give the members of a pod's ``spec`` that a run names word for word."""
    asked = spec.scheduling
    found: Object = {}
    if asked.affinity is not None:
        found["affinity"] = asked.affinity.to_object()
    if asked.priority_class_name is not None:
        found["priorityClassName"] = asked.priority_class_name
    if asked.runtime_class_name is not None:
        found["runtimeClassName"] = asked.runtime_class_name
    return found
