"""Why a pod does not start yet, told so that its user can act. Waiting never fails anything by itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mlops_operator.domain.observed import ContainerView, PodView
from mlops_operator.domain.times import seconds_between

# How long a Job may be without a pod, and a pod without its volumes, before that is worth a word, in seconds.
POD_PATIENCE_SECONDS = 10
VOLUME_PATIENCE_SECONDS = 30
IMAGE_REASONS = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "RegistryUnavailable",
        "ImageInspectError",
        "SignatureValidationFailed",
    }
)
CONFIG_REASONS = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})


@dataclass(frozen=True)
class Waiting:
    """A reason to wait: a word and a sentence. ``again_seconds``: when to look again without an event."""

    reason: str
    message: str
    again_seconds: float | None = None


def name_taken(kind: str, job: str, namespace: str) -> Waiting:
    """Give a Job of the name that is somebody else's: it is never touched."""
    return Waiting(
        "JobNameTaken",
        f"Job {job} exists already and does not belong to this {kind}. It is left alone; delete it if it is not needed"
        f" (kubectl -n {namespace} delete job {job}), or use another name.",
        5.0,
    )


def for_pod(
    pod: PodView, namespace: str, now: datetime, *, accelerator: str = "", mounts: str = ""
) -> Waiting | None:
    """Why a pod does not start; None: nothing is wrong.

    Parameters
    ----------
    accelerator
        What the run asks for, such as ``class gpu-large: 1 nvidia.com/gpu``; told where no node has it.
    mounts
        What the run itself mounts, such as ``ConfigMap a, PersistentVolumeClaim b``.
    """
    if pod.gone or pod.deleting or pod.phase in ("Succeeded", "Failed"):
        return None
    status, reason, message = pod.conditions.get("PodScheduled", ("", "", ""))
    if status == "False" and reason in ("Unschedulable", "SchedulingGated"):
        asked = f" The run asks for {accelerator}." if accelerator else ""
        return Waiting(
            "Unschedulable", f"No node takes the pod: {message or reason}.{asked}".replace("..", ".")
        )
    for container in (*pod.init, *pod.containers):
        found = _for_container(container, pod, namespace)
        if found is not None:
            return found
    found = _for_sidecar(pod, namespace)
    if found is not None:
        return found
    return _for_volumes(pod, namespace, now, mounts)


def _for_container(container: ContainerView, pod: PodView, namespace: str) -> Waiting | None:
    reason, said = container.waiting_reason or "", container.waiting_message or ""
    if reason in IMAGE_REASONS:
        return Waiting(
            "ImagePull",
            f"The image of container {container.name} cannot be pulled: {container.image or 'image'}: {said or reason}."
            " Check its name and tag, and spec.pod.imagePullSecrets where its registry asks for a login.",
        )
    if reason in CONFIG_REASONS:
        return Waiting(
            "ContainerNotCreated",
            f"Container {container.name} cannot be created ({reason}): {said or 'no details'}. It starts by itself as"
            " soon as that is mended; what is wrong in the spec needs a new run.",
        )
    return _crashes(container, pod, namespace) if reason == "CrashLoopBackOff" else None


def _for_sidecar(pod: PodView, namespace: str) -> Waiting | None:
    """Tell a sidecar that ended again: in its back-off the kubelet shows it as ended, not as waiting."""
    agent, train = pod.container("agent"), pod.container("train")
    if agent is None or train is None or train.running_since is None or not agent.exit_code:
        return None
    return _crashes(agent, pod, namespace) if agent.restart_count else None


def _crashes(container: ContainerView, pod: PodView, namespace: str) -> Waiting:
    last = container.terminated_message or container.terminated_reason or container.waiting_message or ""
    code = f" (exit code {container.exit_code})" if container.exit_code is not None else ""
    return Waiting(
        "ContainerCrashes",
        f"Container {container.name} ended {container.restart_count} times and is started again: {last}{code}. See"
        f" kubectl -n {namespace} logs {pod.name} -c {container.name} --previous.",
    )


def _for_volumes(pod: PodView, namespace: str, now: datetime, mounts: str) -> Waiting | None:
    started = any(c.running_since or c.exit_code is not None for c in (*pod.init, *pod.containers))
    if started or pod.created_at is None or not pod.node_name:
        return None
    left = VOLUME_PATIENCE_SECONDS - seconds_between(pod.created_at, now)
    if left > 0:
        return None
    own = f" (the run names {mounts})" if mounts else ""
    return Waiting(
        "VolumesNotReady",
        f"Node {pod.node_name} has not started the pod for more than {VOLUME_PATIENCE_SECONDS} s. Most often a volume"
        f" that it mounts is missing{own}, or an image is large: kubectl -n {namespace} describe pod {pod.name}.",
    )


def until_volumes_are_late(pod: PodView | None, now: datetime) -> float | None:
    """Seconds until a pod that has not started is worth a word; None: it has started, or is late already."""
    if pod is None or pod.created_at is None or any(c.running_since for c in (*pod.init, *pod.containers)):
        return None
    left = VOLUME_PATIENCE_SECONDS - seconds_between(pod.created_at, now)
    return left if left > 0 else None


def for_missing_pod(job: str, namespace: str, since: datetime | None, now: datetime) -> Waiting | None:
    """Give a Job for which Kubernetes has made no pod: nothing but its events says why."""
    if since is None or seconds_between(since, now) < POD_PATIENCE_SECONDS:
        return None
    return Waiting(
        "PodNotCreated",
        f"Kubernetes has made no pod for Job {job} for more than {POD_PATIENCE_SECONDS} s. Most often a quota of the"
        f" namespace is used up: kubectl -n {namespace} describe job {job}; kubectl -n {namespace} describe quota.",
    )
