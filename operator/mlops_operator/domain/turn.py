"""Whether a run may start at all in its namespace's zone, and whether it is its turn."""

from __future__ import annotations

from dataclasses import replace

from mlops_operator.domain import line, zones
from mlops_operator.domain.acceptance import ANEW
from mlops_operator.domain.admission import Refusal
from mlops_operator.domain.observed import ObservedRun
from mlops_operator.domain.step import Step, wait
from mlops_operator.domain.waiting import Waiting
from mlops_operator.settings import Settings


def kept_out(observed: ObservedRun, settings: Settings) -> Step | None:
    """Give the step of a run whose zone is not known, or which could never start in it; None: it may start."""
    run, view = observed.run, observed.namespace
    if zones.is_unseen(settings, view):
        return Step(run.status, again_seconds=1.0)  # its namespace is on its way
    unknown = zones.unknown(settings, view, run.metadata.namespace)
    if unknown is not None:
        return wait(run.status, "Pending", unknown)
    over = zones.too_much(run.spec, settings, view)
    if over is None:
        return None
    refused = Refusal("ExceedsZone", f"{over} {ANEW}")
    step = wait(run.status, "Pending", Waiting(refused.reason, refused.message))
    return replace(step, accepted=False)


def not_yet(observed: ObservedRun) -> Step | None:
    """Give the step of a run that stands in line; None: it is its turn, or it has one already."""
    waiting = line.hold(observed.place)
    if waiting is None:
        return None
    return replace(wait(observed.run.status, "Queued", waiting), warn=False)
