"""What a decision needs of Jobs and pods, read from their Kubernetes JSON.

Works on slim objects: metadata (name, uid, labels, creationTimestamp, deletionTimestamp, ownerReferences), status,
and of the spec ``nodeName`` alone. Odd input gives an empty view, never an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from mlops_operator.api.base import LABEL_OWNER_UID
from mlops_operator.domain.distributed import INDEX_LABEL
from mlops_operator.domain.observed import ContainerView, JobView, PodView
from mlops_operator.domain.times import parse_time

JOB_NAME_LABELS = ("batch.kubernetes.io/job-name", "job-name")


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _items(value: object) -> Sequence[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def job_view(obj: Mapping[str, Any], gone: bool = False) -> JobView:
    """View a Job. ``gone``: it is a tombstone."""
    metadata, status = _mapping(obj.get("metadata")), _mapping(obj.get("status"))
    holds = {_text(c.get("type")): c for c in _items(status.get("conditions")) if c.get("status") == "True"}
    final = holds.get("Complete") or holds.get("Failed") or {}
    return JobView(
        name=_text(metadata.get("name")),
        uid=_text(metadata.get("uid")),
        owner_uid=_owner_uid(metadata),
        complete="Complete" in holds,
        failed="Failed" in holds,
        failing_since=_failing_since(holds),
        deleting=metadata.get("deletionTimestamp") is not None,
        gone=gone,
        finished_at=parse_time(status.get("completionTime")) or parse_time(final.get("lastTransitionTime")),
    )


def _failing_since(holds: Mapping[str, Mapping[str, Any]]) -> datetime | None:
    # FailureTarget comes first, and Failed when all pods have ended.
    condition = holds.get("FailureTarget") or holds.get("Failed") or {}
    return parse_time(condition.get("lastTransitionTime"))


def _owner_uid(metadata: Mapping[str, Any]) -> str | None:
    """Give the uid of our label, if an owner reference says the same; None: it is not ours."""
    uid = _text(_mapping(metadata.get("labels")).get(LABEL_OWNER_UID))
    owners = {reference.get("uid") for reference in _items(metadata.get("ownerReferences"))}
    return uid if uid and uid in owners else None


def pod_view(obj: Mapping[str, Any], gone: bool = False) -> PodView:
    """View a pod. ``gone``: it is a tombstone."""
    metadata, status = _mapping(obj.get("metadata")), _mapping(obj.get("status"))
    return PodView(
        name=_text(metadata.get("name")),
        uid=_text(metadata.get("uid")),
        phase=_text(status.get("phase")),
        job=_job_of(metadata),
        index=_index_of(metadata),
        node_name=_text(_mapping(obj.get("spec")).get("nodeName")) or None,
        created_at=parse_time(metadata.get("creationTimestamp")),
        reason=_text(status.get("reason")) or None,
        message=_text(status.get("message")) or None,
        deleting=metadata.get("deletionTimestamp") is not None,
        gone_by=parse_time(metadata.get("deletionTimestamp")),
        stop_requested_at=_stop_requested_at(metadata),
        gone=gone,
        conditions={
            _text(c.get("type")): (_text(c.get("status")), _text(c.get("reason")), _text(c.get("message")))
            for c in _items(status.get("conditions"))
        },
        init=tuple(_container(c) for c in _items(status.get("initContainerStatuses"))),
        containers=tuple(_container(c) for c in _items(status.get("containerStatuses"))),
    )


def _job_of(metadata: Mapping[str, Any]) -> str:
    labels = _mapping(metadata.get("labels"))
    named = next((_text(labels[key]) for key in JOB_NAME_LABELS if labels.get(key)), "")
    owners = (_text(o.get("name")) for o in _items(metadata.get("ownerReferences")) if o.get("kind") == "Job")
    return named or next(owners, "")


def _index_of(metadata: Mapping[str, Any]) -> int:
    text = _text(_mapping(metadata.get("labels")).get(INDEX_LABEL))
    return int(text) if text.isdecimal() else 0


def _stop_requested_at(metadata: Mapping[str, Any]) -> datetime | None:
    """When somebody asked for the pod's deletion; deletionTimestamp is when its grace is over."""
    until = parse_time(metadata.get("deletionTimestamp"))
    grace = _whole(metadata.get("deletionGracePeriodSeconds")) or 0
    if until is None:
        return None
    try:
        return until - timedelta(seconds=grace)
    except OverflowError:
        return until


def _container(status: Mapping[str, Any]) -> ContainerView:
    state = _mapping(status.get("state"))
    waiting, running = _mapping(state.get("waiting")), _mapping(state.get("running"))
    ended = _mapping(state.get("terminated"))
    # A container that waits to be started again: what its last run said is the reason.
    last = ended or _mapping(_mapping(status.get("lastState")).get("terminated"))
    return ContainerView(
        name=_text(status.get("name")),
        image=_image(status),
        restart_count=_whole(status.get("restartCount")) or 0,
        waiting_reason=_text(waiting.get("reason")) or None,
        waiting_message=_text(waiting.get("message")) or None,
        running_since=parse_time(running.get("startedAt")),
        exit_code=_whole(ended.get("exitCode")) if ended else None,
        terminated_reason=_text(last.get("reason")) or None,
        terminated_message=_text(last.get("message")) or None,
        finished_at=parse_time(ended.get("finishedAt")),
    )


def _image(status: Mapping[str, Any]) -> str:
    """With its digest where the runtime says it: ``docker-pullable://`` and the like are taken off."""
    image_id = _text(status.get("imageID")).rsplit("://", 1)[-1]
    image = _text(status.get("image"))
    if image_id.startswith("sha256:") and image and not image.startswith("sha256:"):
        return f"{image.split('@', 1)[0]}@{image_id}"
    return image_id or image
