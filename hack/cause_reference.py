"""Writes docs/reference/causes.md from the table of reasons and causes: ``python -m hack.cause_reference``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mlops_operator.domain.causes import Row, rows

TARGET = Path(__file__).resolve().parents[1] / "docs" / "reference" / "causes.md"

PAGE = """# Waiting reasons and causes

`kubectl get trun` shows them in the column REASON; `.status.message` says what happened and what to do.

This page is generated from the table in `operator/mlops_operator/domain/causes.py` by `make crds`. A test on a real
cluster has produced each row.

## Why a run waits

A waiting run has not failed. It goes on by itself when the reason is gone.

{waiting}

## Why a run is not accepted

Condition `Accepted` is False and `Stalled` is True: it asks for something that this platform does not have. Apply it
corrected under a new name.

{not_accepted}

These are refused by `kubectl apply` already, with a message that names the field; the operator says them only of a run
that came in under another definition of the resource:

{at_apply}

## Why a run ended

`.status.failure.side` says who can mend it.

{ending}

In every case the log and what the command wrote are in the bucket under the attempt, as far as the pod lived to bring
them there.
"""


def table(found: Iterable[Row], *, ending: bool = False) -> str:
    """Give rows as a table; of endings with the side."""
    lines = ["| Cause | Side | What it means | What to do |", "|---|---|---|---|"]
    if not ending:
        lines = ["| Reason | What it means | What to do |", "|---|---|---|"]
    for row in found:
        side = f" {row.side} |" if ending else ""
        lines.append(f"| `{row.name}` |{side} {row.means} | {row.advice} |")
    return "\n".join(lines)


def page() -> str:
    """Give the whole page."""
    refused = rows("NotAccepted")
    return PAGE.format(
        waiting=table(rows("Waiting")),
        not_accepted=table(row for row in refused if not row.at_apply),
        at_apply=table(row for row in refused if row.at_apply),
        ending=table(rows("Ending"), ending=True),
    )


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
