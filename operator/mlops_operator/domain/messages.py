"""Sentences for users on how a run ended: what happened, to which object, what to do."""

from __future__ import annotations

from mlops_operator.api.trainingrun import RetryStatus, TrainingRun, TrainingRunStatus
from mlops_operator.domain import resources, start_deadline
from mlops_operator.domain.outcome import Ending, Facts
from mlops_operator.settings import Settings

LOG_HINT = "See status.failure.logTail, and the whole log in the bucket (status.attempts[].logs)."
PLAIN = {
    "Succeeded": "The training has succeeded; its files are in the bucket and verified.",
    "Cancelled": "The run was cancelled (spec.cancel); what it had written is kept in the bucket.",
    "Suspended": "The attempt was ended as the run was suspended (spec.suspend); what it had written is kept.",
}
DISRUPTED = {
    "Deleted": "The pod of the run or its Job was deleted",
    "Evicted": "The pod of the run was evicted",
    "Preempted": "The pod of the run made room for one of higher priority",
    "NodeLost": "The pod of the run was lost with its node",
}
NOT_EXECUTABLE, NOT_FOUND = 126, 127
SIGNAL_BASE = 128
NO_SPACE = "No space left on device"


def of_ending(
    ending: Ending, facts: Facts, run: TrainingRun, settings: Settings, *, worker: int | None = None
) -> str:
    """Give the message of ``status.failure``, or of a success. ``worker``: the one that it speaks of, of several."""
    text = _of_ending(ending, facts, run, settings)
    if worker is None or ending.cause in ("Succeeded", "Cancelled"):
        return text
    return f"Worker {worker} of {run.spec.worker_count} ended first. {text}"


def _of_ending(ending: Ending, facts: Facts, run: TrainingRun, settings: Settings) -> str:
    said = (ending.said or "").strip()
    if ending.cause in PLAIN:
        return PLAIN[ending.cause]
    match ending.cause:
        case "OOMKilled":
            text = _out_of_memory(ending, run, settings)
        case "RequirementsFailed":
            text = f"The packages of spec.requirements could not be installed: {last_line(said)} See status.failure.logTail for pip's last lines. Correct them, or the package index that pip is told of, under a new name."
        case "DiskLimitExceeded" if ending.container == "train":
            text = f"The run wrote more to its disk than it may, and was evicted: {said} What was not uploaded before is lost. Raise the limit (spec.pod.scratch.size, sizeLimit of a volume, or ephemeral-storage of spec.resources.limits), or write less."
        case "DeadlineExceeded":
            text = _too_late(run.spec.deadline_seconds, said)
        case "UserError":
            text = _user_error(facts.exit_code, run, said) + _full_disk(facts)
        case "StartDeadlineExceeded":
            text = run.status.attempts[-1].message or start_deadline.message(run)
        case "Deleted" | "Evicted" | "Preempted" | "NodeLost":
            why = f" ({said})" if said else ""
            text = f"{DISRUPTED[ending.cause]} before the end{why}. What was uploaded until then is kept."
        case "UploadFailed":
            why = said or "the agent ended without a verified manifest in the bucket."
            text = f"The training ended, but its files could not be stored: {why}"
        case _:
            where = f" in container {ending.container}" if ending.container else ""
            text = said or f"{ending.cause}{where}; nothing more is known. See the pod's logs and events."
    return text


def last_line(said: str) -> str:
    """Give the last line that tells of an error, else the last one."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or ["the container left no word."])[-1]


def _full_disk(facts: Facts) -> str:
    if facts.training is None or NO_SPACE not in facts.training.log_tail:
        return ""
    return f" Its last lines say {NO_SPACE!r}: a volume was full. spec.pod.scratch and spec.pod.volumes give room, spec.pod.sharedMemory that of /dev/shm."


def of_tries(ending: Ending, status: TrainingRunStatus, run: TrainingRun) -> str:
    """Say why a run that has failed is not tried again, where that is not plain."""
    tally, last = status.retry or RetryStatus(), status.attempts[-1]
    if ending.cause in DISRUPTED and last.exit_code == 0:
        return " The command had ended with code 0 and is not run again. Apply the run under a new name."
    if ending.cause in DISRUPTED:
        return f" That happened {tally.disruptions + 1} times in a row, so it is not tried again."
    if tally.failures:
        return f" It was tried {tally.failures + 1} times (spec.retry.limit: {run.spec.retry.limit})."
    return ""


def _too_late(seconds: int | None, said: str) -> str:
    bound = f"its deadline of {seconds} s (spec.deadlineSeconds)" if seconds else said or "its deadline"
    return f"The training was stopped: it took longer than {bound}. What it had written is kept. Allow it more time, or let it do less."


def _out_of_memory(ending: Ending, run: TrainingRun, settings: Settings) -> str:
    if ending.container == "requirements":
        limit = resources.of_training(run.spec, settings)["limits"].get("memory", "the node has")
        return f"Installing the packages of spec.requirements needed more memory than the limit of {limit}. Raise spec.resources.limits.memory."
    if ending.container != "train":
        limit = settings.agent_resources.limits.get("memory", "its limit")
        return (
            f"Container {ending.container} of the platform needed more memory than {limit}."
            " Ask the platform's operators to raise agent_resources.limits.memory."
        )
    limit = resources.of_training(run.spec, settings)["limits"].get("memory", "the node has")
    return f"The training needed more memory than its limit of {limit}. Raise spec.resources.limits.memory, or use smaller batches."


def _user_error(code: int | None, run: TrainingRun, said: str) -> str:
    command = run.spec.command[0] if run.spec.command else ""
    if code == NOT_FOUND:
        return f"The command {command!r} was not found in the image {run.spec.image} (exit code 127). Check spec.command. {LOG_HINT}"
    if code == NOT_EXECUTABLE:
        return f"The command {command!r} is not executable (exit code 126). Check spec.command and the file's mode. {LOG_HINT}"
    if code is not None and code > SIGNAL_BASE:
        return f"The command was ended by signal {code - SIGNAL_BASE} (exit code {code}). {said or LOG_HINT}"
    return f"The command failed with exit code {code}. {said or LOG_HINT}"
