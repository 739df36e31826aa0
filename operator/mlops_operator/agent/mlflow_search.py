"""Filters and orders of MLflow's searches over runs: conditions joined by AND, on the store's runs."""

from __future__ import annotations

import re
from typing import Any

from mlops_operator.agent.tracking import TrackedRun

_CONDITION = re.compile(
    r"""^\s*(?P<kind>[A-Za-z]+)\.(?P<quote>[`"]?)(?P<key>[^`"=!<>\s]+|.+?)(?P=quote)\s*
    (?P<operator>=|!=|>=|<=|>|<|LIKE|ILIKE)\s*(?P<value>'[^']*'|"[^"]*"|[-+0-9.eE]+)\s*$""",
    re.VERBOSE,
)


def conditions(text: str) -> list[tuple[str, str, str, str]]:
    """Split a filter into (kind, key, operator, value); only conditions joined by AND are understood."""
    if not text.strip():
        return []
    found = []
    for part in re.split(r"\s+[Aa][Nn][Dd]\s+", text.strip()):
        match = _CONDITION.match(part)
        if match is None:
            raise ValueError(f"the filter {part!r} is not understood here")
        found.append((match["kind"].lower(), match["key"], match["operator"], match["value"].strip("'\"")))
    return found


def _value_of(run: TrackedRun, kind: str, key: str) -> str | float | None:
    match kind:
        case "tags" | "tag":
            return run.tags.get(key)
        case "params" | "parameters" | "param" | "parameter":
            return run.params.get(key)
        case "metrics" | "metric":
            return run.latest[key].value if key in run.latest else None
        case "attributes" | "attribute" | "attr" | "run":
            values: dict[str, str | float | None] = {
                "run_id": run.run_id,
                "run_name": run.name,
                "status": run.status,
                "start_time": run.start_ms,
                "end_time": run.end_ms,
                "artifact_uri": run.artifact_uri,
            }
            return values[key]
    raise ValueError(f"{kind}.{key} is not known here")


def holds(run: TrackedRun, kind: str, key: str, operator: str, expected: str) -> bool:
    value = _value_of(run, kind, key)
    if value is None:
        return False
    if isinstance(value, str):
        pattern = re.escape(expected).replace("%", ".*")
        return {
            "=": value == expected,
            "!=": value != expected,
            "LIKE": re.fullmatch(pattern, value) is not None,
            "ILIKE": re.fullmatch(pattern, value, re.IGNORECASE) is not None,
        }.get(operator, False)
    number = float(expected)
    return {
        "=": value == number,
        "!=": value != number,
        ">": value > number,
        ">=": value >= number,
        "<": value < number,
        "<=": value <= number,
    }.get(operator, False)


def ordered(runs: list[TrackedRun], order: str) -> list[TrackedRun]:
    column, _, direction = order.strip().partition(" ")
    kind, _, key = column.partition(".")
    key = key.strip('`"')
    known = [run for run in runs if _value_of(run, kind.lower(), key) is not None]
    unknown = [run for run in runs if _value_of(run, kind.lower(), key) is None]

    def value(run: TrackedRun) -> Any:
        return _value_of(run, kind.lower(), key)

    return sorted(known, key=value, reverse=direction.strip().upper() == "DESC") + unknown
