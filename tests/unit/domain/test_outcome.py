"""The table of outcomes, row by row."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from mlops_operator.api.wire import TerminationReport, TrainingExit
from mlops_operator.domain.observed import ContainerView, PodView
from mlops_operator.domain.outcome import Facts, Manifest, ending

NOW = datetime(2026, 3, 1, tzinfo=UTC)
NO_MODEL = TerminationReport(cause="NoModelProduced", message="only notes.txt")
DENIED = '{"cause":"StorageDenied","message":"403 from http://s3"}'


def training(code: int, **more: Any) -> TrainingExit:
    return TrainingExit(exit_code=code, start_time=NOW, end_time=NOW, **more)


def pod(train: ContainerView | None = None, init: ContainerView | None = None, **more: Any) -> PodView:
    return PodView(
        name="p",
        uid="u",
        phase="Running",
        job="j",
        init=(init,) if init else (),
        containers=(train,) if train else (),
        **more,
    )


def ended(code: int, reason: str = "Error") -> ContainerView:
    return ContainerView("train", exit_code=code, terminated_reason=reason)


STAGING = ContainerView("stage-in", exit_code=1, terminated_message=DENIED)

TOO_MUCH = 'Usage of EmptyDir volume "scratch" exceeds the limit "64Mi".'
ABSENT, VERIFIED = Manifest.ABSENT, Manifest.VERIFIED
ROWS = [
    ("verified, whatever the pod says", Facts(pod(ended(137, "OOMKilled")), over=True, deleted=True, manifest=VERIFIED), "Succeeded"),
    ("verified before the cancel", Facts(pod(), cancelled=True, manifest=VERIFIED), "Succeeded"),
    ("running", Facts(pod()), None),
    ("ended well, upload under way", Facts(pod(), training(0), manifest=ABSENT), None),
    ("ended badly, upload under way", Facts(pod(), training(1)), None),
    ("deleted, in its grace", Facts(pod(ended(1)), training(1, terminated=True), deleted=True), None),
    ("gave up, bucket not asked", Facts(pod(), training(0), NO_MODEL), None),
    ("gave up", Facts(pod(), training(0), NO_MODEL, manifest=ABSENT), "NoModelProduced"),
    ("failed", Facts(pod(ended(3)), training(3)), "UserError"),
    ("failed, no report arrived", Facts(pod(ended(3)), manifest=ABSENT), "UserError"),
    ("failed before it was deleted", Facts(pod(ended(3)), training(3), over=True, deleted=True), "UserError"),
    ("out of memory by the reason", Facts(pod(ended(1, "OOMKilled")), training(1)), "OOMKilled"),
    ("out of memory by the count", Facts(pod(ended(137)), training(137, signal="KILL", oom_kills=1)), "OOMKilled"),
    ("killed, but not by memory", Facts(pod(ended(137)), training(137, signal="KILL")), "UserError"),
    ("too late", Facts(pod(ended(143)), training(143, deadline_exceeded=True)), "DeadlineExceeded"),
    ("in time after all", Facts(pod(ended(0)), training(0, deadline_exceeded=True), over=True, manifest=ABSENT), "UploadFailed"),
    ("staging failed", Facts(pod(init=STAGING)), "StorageDenied"),
    ("stopped by somebody who is not known yet", Facts(pod(ended(143)), training(143, terminated=True)), None),
    ("stopped, and no report arrived", Facts(pod(ended(137))), None),
    ("stopped by somebody who is never known", Facts(pod(ended(143)), training(143, terminated=True), over=True), "UserError"),
    ("wrote too much, and was evicted", Facts(pod(ended(137), reason="Evicted", message=TOO_MUCH), over=True, deleted=True, manifest=ABSENT), "DiskLimitExceeded"),
    ("packages could not be installed", Facts(pod(init=ContainerView("requirements", exit_code=1)), over=True, manifest=ABSENT), "RequirementsFailed"),
    ("packages took too much memory", Facts(pod(init=ContainerView("requirements", exit_code=137, terminated_reason="OOMKilled")), over=True, manifest=ABSENT), "OOMKilled"),
    ("deleted while packages were installed", Facts(pod(init=ContainerView("requirements", exit_code=143), gone=True), over=True, deleted=True, manifest=ABSENT), "Deleted"),
    ("deleted", Facts(pod(gone=True), over=True, deleted=True, manifest=ABSENT), "Deleted"),
    ("deleted in the upload", Facts(pod(gone=True), training(0), over=True, deleted=True, manifest=ABSENT), "Deleted"),
    ("cancelled", Facts(pod(gone=True), training(143, terminated=True), cancelled=True, over=True, deleted=True), "Cancelled"),
    ("failed before the cancel", Facts(pod(ended(3)), training(3), cancelled=True, over=True), "UserError"),
    ("stored nothing", Facts(pod(ended(0)), over=True, manifest=ABSENT), "UploadFailed"),
    ("the entrypoint failed", Facts(pod(ended(125)), over=True, manifest=ABSENT), "InternalError"),
    ("nothing is known", Facts(pod(), over=True, manifest=ABSENT), "InternalError"),
]  # fmt: skip


@pytest.mark.parametrize(("facts", "cause"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_the_table(facts: Facts, cause: str | None) -> None:
    found = ending(facts)
    assert (found.cause if found is not None else None) == cause


@pytest.mark.parametrize(
    ("facts", "side"),
    [
        (Facts(pod(ended(3)), training(3)), "User"),
        (Facts(pod(ended(1, "OOMKilled")), training(1)), "User"),
        (
            Facts(pod(init=ContainerView("stage-in", exit_code=137, terminated_reason="OOMKilled"))),
            "Platform",
        ),
        (Facts(pod(init=STAGING)), "Platform"),
    ],
)
def test_whose_side_it_is_on(facts: Facts, side: str) -> None:
    found = ending(facts)
    assert found is not None
    assert found.side == side
