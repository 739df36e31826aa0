"""What the API server said to the creates of plans, kept where the next plan looks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from mlops_operator.controller.keys import Key
from mlops_operator.controller.outcomes import Outcomes
from mlops_operator.domain.effects import Create, Failed


class OutcomeRefusals:
    """Keeps refusals among the outcomes (see ``execute.Refusals``)."""

    def __init__(self, outcomes: Outcomes, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._outcomes = outcomes
        self._now = now

    def refused(self, key: Key, create: Create, cause: str, message: str) -> None:
        failures = self._outcomes.failures(create) + 1
        self._outcomes.need(key, create)
        transient = cause != "Invalid"
        self._outcomes.put(
            create, Failed(self._now(), cause, message, transient=transient, failures=failures)
        )

    def accepted(self, create: Create) -> None:
        self._outcomes.drop(create)
