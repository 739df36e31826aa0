"""How a run ended: a table of (how the command ended, is the manifest verified, what became of the pod).

The Job's own condition is never asked: a Job fails though everything is stored, and completes though nothing is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from pydantic import ValidationError

from mlops_operator.api.wire import Cause, TerminationReport, TrainingExit
from mlops_operator.domain import disruption, eviction
from mlops_operator.domain.causes import side_of
from mlops_operator.domain.observed import ContainerView, PodView

SIGKILL_EXIT, SIGTERM_EXIT = 137, 143
OWN_FAILURE_EXIT = 125  # of the entrypoint, not of the command


class Manifest(Enum):
    """What is known of the run's manifest in the bucket."""

    VERIFIED = "verified"
    ABSENT = "absent"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Facts:
    """What is known of an attempt.

    Attributes
    ----------
    over
        The pod has ended or is gone: nothing further can come from it.
    deleted
        Pod or Job were deleted, evicted, or lost with their node.
    stopped_for
        The operator ends the attempt, for this cause.
    recorded_exit
        The command's exit code as it was recorded, perhaps by an operator before this one.
    waits
        Other workers have not ended yet.
    """

    pod: PodView | None = None
    training: TrainingExit | None = None
    report: TerminationReport | None = None  # of the sidecar: it gave up, or was done
    reported_done: bool = False
    cancelled: bool = False
    over: bool = False
    deleted: bool = False
    stopped_for: Cause | None = None
    recorded_exit: int | None = None
    waits: bool = False
    manifest: Manifest = Manifest.UNKNOWN

    def container(self, name: str) -> ContainerView | None:
        return self.pod.container(name) if self.pod is not None else None

    @property
    def exit_code(self) -> int | None:
        """Of the command, as far as it is known."""
        train = self.container("train")
        if self.training is not None:
            return self.training.exit_code
        seen = train.exit_code if train is not None else None
        return seen if seen is not None else self.recorded_exit

    @property
    def staging_failure(self) -> TerminationReport | None:
        """Why stage-in failed, if it did."""
        stage_in = self.container("stage-in")
        if stage_in is None or not stage_in.exit_code:
            return None
        return read_report(stage_in)


@dataclass(frozen=True)
class Ending:
    """How a run ended. ``container``: the one that failed."""

    cause: Cause
    container: str | None = None
    said: str | None = None  # by the container itself

    @property
    def side(self) -> Literal["User", "Platform"]:
        """Who can mend it."""
        if self.cause == "OOMKilled" and self.container not in ("train", "requirements"):
            return "Platform"
        return side_of(self.cause)


def read_report(container: ContainerView) -> TerminationReport:
    """Give what a container of the agent's image left behind; InternalError with what is known where it left nothing."""
    text = container.terminated_message or ""
    try:
        return TerminationReport.model_validate_json(text)
    except ValidationError:
        if container.terminated_reason == "OOMKilled":
            return TerminationReport(
                cause="OOMKilled", message=f"Container {container.name} needed more memory than its limit."
            )
        code = f"exit code {container.exit_code}, {container.terminated_reason or 'no reason'}"
        return TerminationReport(
            cause="InternalError",
            message=f"Container {container.name} failed ({code}): {text or 'no message'}",
        )


def is_lost(pod: PodView | None) -> bool:
    """Whether a pod was deleted, evicted, or lost with its node."""
    return pod is not None and disruption.of_pod(pod) is not None


def was_out_of_memory(facts: Facts) -> bool:
    """By the reason, or by the kernel's count: the exit code alone says little."""
    train, training = facts.container("train"), facts.training
    if facts.exit_code == 0:
        return False
    if train is not None and train.terminated_reason == "OOMKilled":
        return True
    killed = training is not None and (
        training.signal in ("KILL", "SIGKILL") or training.exit_code == SIGKILL_EXIT
    )
    return killed and training is not None and training.oom_kills > 0


def was_stopped(facts: Facts) -> bool:
    """Whether the command did not end by itself: the pod tells who ended it, once it is over (an eviction, say)."""
    if facts.training is not None:
        return facts.training.terminated and facts.training.exit_code != 0
    return facts.exit_code in (SIGKILL_EXIT, SIGTERM_EXIT) and not was_out_of_memory(facts)


def is_decidable(facts: Facts) -> bool:
    """Whether the attempt has come to an end: nothing that may still come changes its outcome."""
    if facts.over:
        return True
    ended_on_purpose = facts.deleted or facts.cancelled or facts.stopped_for is not None
    if ended_on_purpose or facts.waits or was_stopped(facts):
        return False  # the sidecar uploads what it can; wait until the pod is gone
    train = facts.container("train")
    failed = train is not None and bool(train.exit_code)
    return failed or facts.report is not None or facts.reported_done or facts.staging_failure is not None


def needs_manifest(facts: Facts) -> bool:
    """Whether the bucket must be asked before the end is told: not where the command surely failed."""
    if facts.training is not None and facts.training.exit_code != 0:
        return False
    staging = facts.staging_failure
    return staging is None or staging.cause == "InternalError"


def ending(facts: Facts) -> Ending | None:
    """How the attempt ended; None: it has not, or the manifest must be read first. The table, row by row."""
    if facts.manifest is Manifest.VERIFIED:
        return Ending("Succeeded")
    if not is_decidable(facts):
        return None
    if facts.manifest is Manifest.UNKNOWN and needs_manifest(facts):
        return None
    return next(_without_manifest(facts))


def _without_manifest(facts: Facts) -> Iterator[Ending]:
    """Give the rows that hold; the first one counts."""
    training, code, staging = facts.training, facts.exit_code, facts.staging_failure
    stopped = training is None or training.terminated or code == 0
    if stopped:
        yield from _ended_by_us(facts)
    if exceeded := eviction.own_limit(facts.pod):
        yield Ending("DiskLimitExceeded", "train", exceeded)
    if training is not None and training.deadline_exceeded and code != 0:
        yield Ending("DeadlineExceeded", "train")
    if staging is not None and not facts.deleted:
        yield Ending(staging.cause, "stage-in", staging.message)
    yield from _requirements_failed(facts)
    if was_out_of_memory(facts):
        yield Ending("OOMKilled", "train")
    if facts.deleted and stopped:
        yield Ending(disruption.of_pod(facts.pod) or "Deleted", said=disruption.said_of(facts.pod))
    if training is None and facts.pod is not None and facts.pod.reason == "DeadlineExceeded":
        yield Ending("DeadlineExceeded", "train", facts.pod.message)
    if code == 0:
        yield _not_stored(facts)
    if code is None or (training is None and code == OWN_FAILURE_EXIT):
        yield _unknown(facts)
    yield Ending("UserError", "train", _said_by_train(facts))


def _ended_by_us(facts: Facts) -> Iterator[Ending]:
    if facts.cancelled:
        yield Ending("Cancelled")
    if facts.stopped_for is not None and facts.exit_code != 0:
        yield Ending(facts.stopped_for)


def _requirements_failed(facts: Facts) -> Iterator[Ending]:
    installer = facts.container("requirements")
    if installer is not None and installer.exit_code and not facts.deleted:
        oom = installer.terminated_reason == "OOMKilled"
        said = installer.terminated_message
        yield Ending("OOMKilled" if oom else "RequirementsFailed", "requirements", said)


def _not_stored(facts: Facts) -> Ending:
    if facts.report is not None:
        return Ending(facts.report.cause, "agent", facts.report.message)
    agent = facts.container("agent")
    if agent is not None and agent.exit_code:
        found = read_report(agent)
        cause: Cause = "UploadFailed" if found.cause == "InternalError" else found.cause
        return Ending(cause, "agent", found.message)
    return Ending("UploadFailed", "agent")


def _unknown(facts: Facts) -> Ending:
    agent = facts.container("agent")
    if facts.report is not None:
        return Ending(facts.report.cause, "agent", facts.report.message)
    if agent is not None and agent.exit_code:
        found = read_report(agent)
        return Ending(found.cause, "agent", found.message)
    return Ending("InternalError", said=_said_by_train(facts) or disruption.said_of(facts.pod))


def _said_by_train(facts: Facts) -> str | None:
    train = facts.container("train")
    return train.terminated_message if train is not None else None
