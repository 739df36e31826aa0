"""Whether an item of the catalogue must be written (again), and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from mlops_operator.api.base import Condition
from mlops_operator.domain.conditions import Claim, find
from mlops_operator.domain.effects import Effect, Failed, ItemPublished
from mlops_operator.domain.observed import Outcomes
from mlops_operator.domain.retry import is_mended_outside, seconds_until_again

CONDITION = "Published"


@dataclass(frozen=True)
class Publication:
    """What is to be done.

    Attributes
    ----------
    claim
        The condition anew; None: it stays as it is, with the generation that it speaks of.
    item
        Key of the item, once it is written.
    """

    claim: Claim | None = None
    item: str | None = None
    effects: tuple[Effect, ...] = ()
    again_seconds: float | None = None
    done: bool = False


def publish(
    effect: Effect,
    *,
    conditions: Sequence[Condition],
    generation: int,
    item: str | None,
    outcomes: Outcomes,
    now: datetime,
) -> Publication:
    """Decide whether ``effect`` is needed: it is, until Published is True for this generation."""
    current = find(conditions, CONDITION)
    if (
        item
        and current is not None
        and current.status == "True"
        and current.observed_generation == generation
    ):
        return Publication(done=True)
    outcome = outcomes.get(effect)
    if isinstance(outcome, ItemPublished):
        claim = Claim(CONDITION, "True", "Published", f"The item {outcome.item} is in the catalogue.")
        return Publication(claim, outcome.item, done=True)
    if not isinstance(outcome, Failed):
        return Publication(effects=(effect,))
    claim = Claim(CONDITION, "False", outcome.cause, outcome.message)
    if not is_mended_outside(outcome):
        return Publication(claim, done=True)
    left = seconds_until_again(outcome, now)
    return Publication(claim, effects=(effect,) if left == 0 else (), again_seconds=left or None)
