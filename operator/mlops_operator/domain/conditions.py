"""Conditions of a status: those of the run, and kstatus' Ready, Reconciling, Stalled (design, section 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from mlops_operator.api.base import Condition

Truth = Literal["True", "False", "Unknown"]
MAX_MESSAGE = 4096
MAX_REASON = 128


@dataclass(frozen=True)
class Claim:
    """A condition as it is to be, without its times."""

    type: str
    status: Truth
    reason: str = ""
    message: str = ""


def clip(text: str, limit: int = MAX_MESSAGE) -> str:
    """Cut a text to what the schema takes."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def settle(
    before: Sequence[Condition], claims: Sequence[Claim], generation: int, now: datetime
) -> list[Condition]:
    """Turn claims into conditions; the time of the last transition is kept where the status is as before."""
    known = {condition.type: condition for condition in before}
    result = []
    for claim in claims:
        old = known.get(claim.type)
        same = old is not None and old.status == claim.status
        result.append(
            Condition(
                type=claim.type,
                status=claim.status,
                reason=clip(claim.reason, MAX_REASON),
                message=clip(claim.message),
                last_transition_time=old.last_transition_time if old is not None and same else now,
                observed_generation=max(generation, 0),
            )
        )
    return result


def find(conditions: Sequence[Condition], kind: str) -> Condition | None:
    return next((condition for condition in conditions if condition.type == kind), None)


def as_claim(condition: Condition) -> Claim:
    """Give a condition that stays as it is."""
    return Claim(condition.type, condition.status, condition.reason, condition.message)


def kstatus(state: Literal["Ready", "InProgress", "Failed"], reason: str, message: str) -> list[Claim]:
    """Ready, Reconciling and Stalled; what the table of the design leaves out is absent."""
    if state == "Ready":
        return [Claim("Ready", "True", reason, message), Claim("Reconciling", "False", reason)]
    if state == "InProgress":
        return [Claim("Ready", "False", reason, message), Claim("Reconciling", "True", reason, message)]
    return [Claim("Ready", "False", reason, message), Claim("Stalled", "True", reason, message)]


def of_run(phase: str, reason: str, message: str, *, accepted: bool) -> list[Claim]:
    """Give the conditions that a run's phase stands for."""
    claims = [
        Claim("Accepted", "True", "Accepted", "The run can be carried out.")
        if accepted
        else Claim("Accepted", "False", reason, message),
        Claim("Running", "True" if phase in ("Running", "Uploading") else "False", reason, message),
    ]
    if phase == "Succeeded":
        return [*claims, Claim("Complete", "True", reason, message), *kstatus("Ready", reason, message)]
    if phase == "Suspended":
        return [*claims, Claim("Ready", "False", reason, message)]
    if phase in ("Failed", "Cancelled"):
        return [*claims, Claim("Failed", "True", reason, message), *kstatus("Failed", reason, message)]
    return [*claims, *kstatus("InProgress" if accepted else "Failed", reason, message)]
