"""What the API server says when it refuses a pod or a Job, told so that a user can act on it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from mlops_operator.domain.resources import exceeds

QUOTA = re.compile(
    r"exceeded quota: (?P<quota>[^,]+), requested: (?P<requested>\S+), used: (?P<used>\S+), limited: (?P<hard>\S+)"
)
UNSPECIFIED = re.compile(r"failed quota: (?P<quota>[^:]+): must specify (?P<what>.+)", re.DOTALL)
LIMIT_RANGE = re.compile(
    r"(?:maximum|minimum) \S+ usage per (?:Container|Pod|PersistentVolumeClaim) is [^,\]]+(?:, but [^,\]]+)?"
    r"|\S+ max limit to request ratio per (?:Container|Pod) is [^,\]]+, but [^,\]]+"
)
NO_RIGHT = re.compile(r"cannot (?P<verb>create|delete) resource \"(?P<resource>[^\"]+)\"")


@dataclass(frozen=True)
class Denial:
    """Why the API server refuses an object: a reason of the status, and a sentence without a full stop before it."""

    reason: Literal["QuotaExceeded", "NotPermitted", "PodRefused"]
    message: str


def read(said: str, namespace: str) -> Denial:
    """Read a refusal.

    Parameters
    ----------
    said
        The server's own words, such as ``pods "wine-1-" is forbidden: exceeded quota: …``.
    """
    if match := QUOTA.search(said):
        return _quota(match, namespace)
    if "exceeded quota" in said or "status unknown for quota" in said:
        return Denial("QuotaExceeded", f"A quota of namespace {namespace} leaves no room: {said.strip()}")
    if match := UNSPECIFIED.search(said):
        quota = match["quota"]
        return Denial(
            "QuotaExceeded",
            f"Quota {quota} of namespace {namespace} takes no pod that leaves out {match['what'].strip()}."
            " Name them in spec.resources of a new run, or ask the platform for a LimitRange with defaults"
            f" (kubectl -n {namespace} describe quota {quota}).",
        )
    if found := LIMIT_RANGE.findall(said):
        return Denial(
            "QuotaExceeded",
            f"The LimitRange of namespace {namespace} does not allow what the pod asks for: {'; '.join(found)}. Apply a"
            f" new run within these bounds, or ask the platform to change them (kubectl -n {namespace} describe"
            " limitrange).",
        )
    if match := NO_RIGHT.search(said):
        return Denial(
            "NotPermitted",
            f"The operator may not {match['verb']} {match['resource']} in namespace {namespace}: the namespace is no workspace"
            f" yet, or one of an older version. Grant it with `kubectl -n {namespace} apply -f"
            " manifests/components/workspace/role.yaml`",
        )
    return Denial("PodRefused", f"The API server refuses the pod: {said.strip()}")


def _quota(match: re.Match[str], namespace: str) -> Denial:
    quota = match["quota"]
    requested, used, hard = (_amounts(match[part]) for part in ("requested", "used", "hard"))
    numbers = "; ".join(
        f"{name}: requested {amount}, used {used.get(name, '?')}, hard {hard.get(name, '?')}"
        for name, amount in requested.items()
    )
    never = [name for name, amount in requested.items() if name in hard and exceeds(amount, hard[name])]
    advice = (
        f"It asks for more {' and '.join(never)} than the whole quota: apply a new run that asks for less, or ask the"
        " platform to raise the quota"
        if never
        else "It starts by itself as soon as enough is free"
    )
    return Denial(
        "QuotaExceeded",
        f"Quota {quota} of namespace {namespace} leaves no room: {numbers}. {advice}"
        f" (kubectl -n {namespace} describe quota {quota}).",
    )


def _amounts(text: str) -> dict[str, str]:
    """Read ``limits.cpu=3,requests.cpu=600m``."""
    pairs = (part.partition("=") for part in text.rstrip(",").split(","))
    return {name: amount for name, _, amount in pairs if name}
