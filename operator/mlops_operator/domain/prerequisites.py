"""What must hold before a Job is made: the workspace's bucket opens, and the Secrets that the pod mounts are there.

A pod with a missing volume Secret shows only ContainerCreating, so this is asked beforehand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from mlops_operator.domain.effects import CheckSecret, CheckWorkspace, Effect, Failed, WorkspaceReady
from mlops_operator.domain.observed import Outcomes
from mlops_operator.domain.retry import seconds_until_again
from mlops_operator.domain.times import earliest, seconds_between
from mlops_operator.domain.waiting import Waiting

RECHECK_SECONDS = 10.0
VALID_SECONDS = 300.0


@dataclass(frozen=True)
class Unmet:
    """What is still to be found out, and what was found wrong."""

    effects: tuple[Effect, ...] = ()
    waiting: Waiting | None = None
    again_seconds: float | None = None


def check(
    namespace: str, secrets: Sequence[CheckSecret], outcomes: Outcomes, now: datetime
) -> WorkspaceReady | Unmet:
    """Give the workspace once everything holds; else what is missing. What failed is asked again every 10 s."""
    workspace = CheckWorkspace(namespace)
    effects: list[Effect] = []
    waiting: Waiting | None = None
    again: float | None = None
    for effect in (workspace, *dict.fromkeys(secrets)):
        outcome = outcomes.get(effect)
        if isinstance(outcome, Failed):
            waiting = waiting or Waiting(outcome.cause, outcome.message)
            left = seconds_until_again(outcome, now, every=RECHECK_SECONDS)
            again = earliest(again, left or RECHECK_SECONDS)
            effects += [effect] if left == 0 else []
        elif outcome is None or seconds_between(outcome.at, now) > VALID_SECONDS:
            effects.append(effect)
    ready = outcomes.get(workspace)
    if effects or waiting is not None or not isinstance(ready, WorkspaceReady):
        return Unmet(tuple(effects), waiting, again)
    return ready
