"""Slow outside work that a plan asks for, and what comes back.

An effect is a value: equal effects are the same work and run once, whoever asks. It is idempotent, so that it may be
asked for again after a restart. Its outcome comes back as an observation. A plan lists an effect for as long as it
needs the outcome and has none, or one too old: what it lists is started, unless it runs already.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from mlops_operator.api.modelversion import ModelFileStatus
from mlops_operator.api.wire import (
    BucketHint,
    DatasetManifest,
    ProgressReport,
    RunIdentity,
    RunManifest,
)


@dataclass(frozen=True)
class Effect:
    namespace: str


@dataclass(frozen=True)
class CheckWorkspace(Effect):
    """Read the workspace's Secret (or the one named) and say which bucket it opens."""

    secret: str | None = None


@dataclass(frozen=True)
class CheckSecret(Effect):
    """See whether a Secret is there and has these keys. Gives SecretPresent, or Failed(SecretMissing, NotPermitted)."""

    name: str
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReadRunManifest(Effect):
    """Read a run's manifest and see whether its files are there.

    ``moment`` says what made us look, with the attempt's number: a read for a later moment is other work, so its outcome was read after it.
    """

    run_name: str
    run_uid: str
    moment: str = ""


@dataclass(frozen=True)
class ReadProgress(Effect):
    """Read what an agent left in the bucket since its reports do not arrive; ``moment`` as in ReadRunManifest."""

    run_name: str
    run_uid: str
    attempt: int
    moment: str = ""
    worker: int = 0


@dataclass(frozen=True)
class FindCheckpoint(Effect):
    """Look for the newest checkpoint of the runs of a name, but for one uid: that of the run that asks."""

    run_name: str
    without_uid: str


@dataclass(frozen=True)
class ReadDatasetManifest(Effect):
    """Read the manifest of a dataset's version; ``moment`` as in ReadRunManifest."""

    name: str
    version: str
    moment: str = ""


@dataclass(frozen=True)
class TryPod(Effect):
    """Ask the API server whether it would take the pod of a Job that has none; gives PodTried."""

    job: str


@dataclass(frozen=True)
class Create(Effect):
    """Key of a refused POST; never in a plan's effects.

    The executor keeps Failed under it where the API server refused to create an object of a plan (403: NotPermitted or
    QuotaExceeded; 422: Invalid), and drops it when the next POST went through.
    """

    kind: str
    name: str


@dataclass(frozen=True)
class ClaimVersion(Effect):
    """Take a version of a model for an owner; the next free integer if ``version`` is None.

    The same owner (and the same wish) gets the same version again.
    """

    model: str
    version: str | None
    owner: str


@dataclass(frozen=True)
class StoreModel(Effect):
    """Copy the model's files of a run within S3, verify them, write the version's manifest."""

    model: str
    version: str
    run: RunIdentity


@dataclass(frozen=True)
class PublishModelItem(Effect):
    """Write the version's STAC item and rebuild the catalogue. ``metadata_json`` is ModelMetadata as canonical JSON."""

    workspace: str
    model: str
    version: str
    metadata_json: str
    generation: int


@dataclass(frozen=True)
class PublishDatasetItem(Effect):
    """Write a dataset version's STAC item and rebuild the catalogue. ``spec_json`` is TrainingDatasetSpec as JSON."""

    workspace: str
    name: str
    version: str
    spec_json: str
    generation: int


@dataclass(frozen=True)
class RecordRun(Effect):
    """Write a run that has ended to the history in the bucket. ``document`` is what stays of it, as JSON."""

    run_name: str
    run_uid: str
    document: str = field(repr=False)


# --- outcomes -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    at: datetime


@dataclass(frozen=True)
class Failed(Outcome):
    """It did not work. ``cause`` is a word of the status, or a waiting reason (SecretMissing, NotPermitted)."""

    cause: str
    message: str
    transient: bool
    failures: int = 1  # in a row: the back-off grows with it


@dataclass(frozen=True)
class WorkspaceReady(Outcome):
    secret: str
    bucket: BucketHint
    # The CA of the progress endpoint, PEM, for the pods.
    progress_ca: str


@dataclass(frozen=True)
class SecretPresent(Outcome):
    name: str


@dataclass(frozen=True)
class PodTried(Outcome):
    """``refusal``: the API server's own words; None: it would take the pod."""

    refusal: str | None


@dataclass(frozen=True)
class RunManifestRead(Outcome):
    """``manifest`` is None where there is none (yet). ``files_verified``: every file is there with its size."""

    manifest: RunManifest | None
    digest: str | None = None
    files_verified: bool = False


@dataclass(frozen=True)
class CheckpointFound(Outcome):
    """``run_uid``: of the run that has the newest; None: there is none (yet)."""

    run_uid: str | None


@dataclass(frozen=True)
class ProgressRead(Outcome):
    report: ProgressReport | None


@dataclass(frozen=True)
class DatasetManifestRead(Outcome):
    manifest: DatasetManifest | None  # its files emptied: a status needs only their number
    key: str = ""
    files: int = 0


@dataclass(frozen=True)
class VersionClaimed(Outcome):
    version: str


@dataclass(frozen=True)
class ModelStored(Outcome):
    uri: str
    digest: str
    size_bytes: int
    files: tuple[ModelFileStatus, ...]
    manifest: RunManifest


@dataclass(frozen=True)
class RunRecorded(Outcome):
    key: str


@dataclass(frozen=True)
class ItemPublished(Outcome):
    item: str  # key
