"""What the conditions say of a run's metrics: did any arrive, and did the remote MLflow server get them."""

from __future__ import annotations

from collections.abc import Sequence

from mlops_operator.api.trainingrun import TrainingRun, TrainingRunStatus
from mlops_operator.api.wire import ProgressReport, TrackingReport
from mlops_operator.domain.conditions import Claim, as_claim, find

FORWARDED = "MetricsForwarded"
RECEIVED = "MetricsReceived"
CONDITIONS = (RECEIVED, FORWARDED)
_HOW = (
    "Log with MLflow (its tracking URI is set in the run), append JSON lines to the file that MLOPS_METRICS_FILE names,"
    " or list the files that the code writes in spec.metrics.sources."
)

_UNTOLD = (
    "The pod ended before it said whether everything was forwarded to the MLflow server. What was kept is in the run's"
    " bucket."
)


def while_it_runs(status: TrainingRunStatus, report: ProgressReport | None) -> list[Claim]:
    """Give what is to be said now. That all is well is said only after it was not, to spare a write."""
    tracking = report.tracking if report is not None else None
    if tracking is None:
        return []
    troubled = find(status.conditions, FORWARDED) is not None
    return [_forwarded(tracking)] if troubled or tracking.state in ("Unreachable", "Refused") else []


def at_the_end(
    run: TrainingRun, status: TrainingRunStatus, report: ProgressReport | None, *, trained: bool
) -> list[Claim]:
    """Give what is said once the run has ended; nothing of one whose training never started."""
    if not trained:
        return []
    claims = [_received(run, status)]
    tracking = report.tracking if report is not None else None
    if tracking is not None and tracking.state == "Forwarding":
        tracking = tracking.model_copy(update={"state": "Incomplete", "message": _UNTOLD})
    if tracking is not None:
        claims.append(_forwarded(tracking))
    return claims


def settled(status: TrainingRunStatus, claims: Sequence[Claim]) -> list[Claim]:
    """Give the claims of this policy: the new ones, and those that stay."""
    new = {claim.type: claim for claim in claims}
    kept = {kind: as_claim(old) for kind in CONDITIONS if (old := find(status.conditions, kind)) is not None}
    both = kept | new
    return [both[kind] for kind in CONDITIONS if kind in both]


def _forwarded(tracking: TrackingReport) -> Claim:
    if tracking.state in ("Forwarding", "Forwarded"):
        return Claim(FORWARDED, "True", tracking.state, tracking.message)
    return Claim(FORWARDED, "False", tracking.state, tracking.message)


def _received(run: TrainingRun, status: TrainingRunStatus) -> Claim:
    if status.metrics:
        return Claim(RECEIVED, "True", "Received", "Metrics arrived.")
    mlflow = run.spec.tracking.mlflow
    if mlflow is None:
        advice = (
            "Code that names a tracking URI of its own (mlflow.set_tracking_uri) logs past the run: take that line out,"
            " or name the server in spec.tracking.mlflow.uri, and what the code logs there is copied."
        )
    else:
        advice = (
            f"Nothing was logged to {mlflow.uri} past the run either. Code that names a tracking URI of its own"
            " (mlflow.set_tracking_uri) must name that server, with the same path, or none."
        )
    return Claim(RECEIVED, "False", "NoMetrics", f"No metrics arrived. {_HOW} {advice}")
