"""Where a run is, from its pod and its reports; it never goes back."""

from __future__ import annotations

from collections.abc import Sequence

from mlops_operator.api.trainingrun import RunPhase
from mlops_operator.api.wire import ProgressReport
from mlops_operator.domain.observed import PodView

ORDER: tuple[RunPhase, ...] = ("Pending", "Queued", "Staging", "Running", "Uploading")
NORMAL_MESSAGES: dict[str, str] = {
    "Pending": "The run's Job is being made.",
    "Queued": "The pod waits for a node.",
    "Staging": "Code and data are being downloaded and checked.",
    "Running": "The command is running.",
    "Uploading": "The command has ended; its files are being uploaded and verified.",
}


def is_scheduled(pod: PodView) -> bool:
    """Whether a node was found for the pod."""
    return bool(pod.node_name) or pod.conditions.get("PodScheduled", ("", "", ""))[0] == "True"


def _by_pod(pod: PodView | None) -> RunPhase:
    if pod is None:
        return "Queued"
    train = pod.container("train")
    if train is not None and train.exit_code is not None:
        return "Uploading"
    if train is not None and train.running_since is not None:
        return "Running"
    return "Staging" if is_scheduled(pod) or pod.phase in ("Running", "Succeeded", "Failed") else "Queued"


def _by_progress(progress: ProgressReport | None) -> RunPhase:
    if progress is None:
        return "Pending"
    if progress.training is not None or progress.phase in ("Uploading", "Done"):
        return "Uploading"
    return "Running" if progress.phase == "Running" or progress.started_at is not None else "Staging"


def derive(
    before: RunPhase | None, workers: Sequence[tuple[PodView | None, ProgressReport | None]]
) -> RunPhase:
    """Give the furthest of what was known before and of where all workers are by their pods and reports."""
    reached = [max(ORDER.index(_by_pod(pod)), ORDER.index(_by_progress(report))) for pod, report in workers]
    return ORDER[max(min(reached), ORDER.index(before) if before in ORDER else 0)]
