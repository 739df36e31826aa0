"""From Kubernetes JSON to the slim views that decisions are made from."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from mlops_operator.api.base import LABEL_OWNER_UID
from mlops_operator.domain.distributed import INDEX_LABEL
from mlops_operator.domain.observed import ContainerView, JobView, PodView

Object = Mapping[str, Any]


def parse_time(value: str | None) -> datetime | None:
    """Read a time as Kubernetes writes it."""
    return datetime.fromisoformat(value) if value else None


def job_view(job: Object) -> JobView:
    """Sum up a Job. The owner is read from our label alone if a controller reference agrees with it."""
    metadata, status = job["metadata"], job.get("status") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or [] if c.get("status") == "True"}
    ended = conditions.get("Complete") or conditions.get("Failed")
    return JobView(
        name=metadata["name"],
        uid=metadata["uid"],
        owner_uid=owner_uid(metadata),
        complete="Complete" in conditions,
        failed="Failed" in conditions,
        failing_since=_failing_since(conditions),
        deleting="deletionTimestamp" in metadata,
        finished_at=parse_time((ended or {}).get("lastTransitionTime")),
    )


def _failing_since(conditions: Object) -> datetime | None:
    # FailureTarget comes first, and Failed when all pods have ended.
    condition = conditions.get("FailureTarget") or conditions.get("Failed") or {}
    return parse_time(condition.get("lastTransitionTime"))


def owner_uid(metadata: Object) -> str | None:
    """Give the uid of our label, if an owner reference says the same; None: it is not ours."""
    uid = (metadata.get("labels") or {}).get(LABEL_OWNER_UID)
    references = {reference.get("uid") for reference in metadata.get("ownerReferences") or []}
    return uid if uid in references else None


def pod_view(pod: Object) -> PodView:
    """Sum up a pod."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    labels = metadata.get("labels") or {}
    return PodView(
        name=metadata["name"],
        uid=metadata["uid"],
        phase=status.get("phase", "Pending"),
        job=labels.get("batch.kubernetes.io/job-name") or labels.get("job-name", ""),
        index=int(labels.get(INDEX_LABEL) or 0),
        node_name=(pod.get("spec") or {}).get("nodeName"),
        created_at=parse_time(metadata.get("creationTimestamp")),
        reason=status.get("reason"),
        message=status.get("message"),
        deleting="deletionTimestamp" in metadata,
        gone_by=parse_time(metadata.get("deletionTimestamp")),
        stop_requested_at=_stop_requested_at(metadata),
        conditions={
            c["type"]: (c.get("status", ""), c.get("reason") or "", c.get("message") or "")
            for c in status.get("conditions") or []
        },
        init=_containers(status.get("initContainerStatuses")),
        containers=_containers(status.get("containerStatuses")),
    )


def _stop_requested_at(metadata: Object) -> datetime | None:
    until = parse_time(metadata.get("deletionTimestamp"))
    grace = timedelta(seconds=metadata.get("deletionGracePeriodSeconds") or 0)
    return until - grace if until is not None else None


def _containers(statuses: list[dict[str, Any]] | None) -> tuple[ContainerView, ...]:
    return tuple(_container(status) for status in statuses or [])


def _container(status: Object) -> ContainerView:
    state = status.get("state") or {}
    waiting, running, ended = (state.get(name) or {} for name in ("waiting", "running", "terminated"))
    return ContainerView(
        name=status["name"],
        image=status.get("imageID") or status.get("image") or "",
        restart_count=status.get("restartCount", 0),
        waiting_reason=waiting.get("reason"),
        waiting_message=waiting.get("message"),
        running_since=parse_time(running.get("startedAt")),
        exit_code=ended.get("exitCode"),
        terminated_reason=ended.get("reason"),
        terminated_message=ended.get("message"),
        finished_at=parse_time(ended.get("finishedAt")),
    )
