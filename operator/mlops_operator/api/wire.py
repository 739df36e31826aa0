"""What operator and agent exchange: the agent's orders (environment MLOPS_ORDER), its reports, the manifests.

Every file is JSON in camelCase. Readers ignore what they do not know; ``schemaVersion`` rises only when an old
reader would misunderstand.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mlops_operator.api.base import Model, PreciseTime, Scalar, Time
from mlops_operator.api.checkpoints import CheckpointStatus, ResumedStatus
from mlops_operator.api.objective import Goal, ObjectiveStatus
from mlops_operator.api.sources import GitSource
from mlops_operator.api.trainingdataset import S3Source
from mlops_operator.api.trainingrun import MAX_WORKERS, ArtifactOutput, MetricSource, MetricStatus

# --- folders and files in a pod -------------------------------------------------------------------------------
MLOPS_DIR = "/mlops"
BIN_DIR = "/mlops/bin"  # the entrypoint, put there by stage-in
RUN_DIR = "/mlops/run"  # ready, started.json, done.json, ack, log: between entrypoint and sidecar
CODE_DIR = "/mlops/code"
DATASETS_DIR = "/mlops/datasets"
OUTPUT_DIR = "/mlops/output"
MODEL_DIR = "/mlops/output/model"
CHECKPOINT_DIR = "/mlops/output/checkpoints"
METRICS_FILE = "/mlops/output/metrics.jsonl"
TENSORBOARD_DIR = "/mlops/output/tensorboard"
STDOUT_METRICS_FILE = "/mlops/run/stdout-metrics.jsonl"  # written by the entrypoint
USAGE_FILE = "/mlops/run/usage.json"  # UsageReport, written by the entrypoint while the command runs
MASKED_DIR = "/mlops/masked"  # Secrets whose values the entrypoint masks, one folder each
PARAMS_FILE = "/mlops/run/params.json"
PACKAGES_DIR = "/mlops/packages"  # spec.requirements, installed; see agent/install_packages.py
STAGED_FILE = "/mlops/run/staged.json"  # StagedReport, written by stage-in, read by the sidecar
# Variables of the command that are known only once stage-in is done: {name: value}, read by the entrypoint.
VARIABLES_FILE = "/mlops/run/environment.json"
STOP_FILE = "/mlops/run/stop.json"  # {"message"}: the sidecar asks the entrypoint to end the command early
CREDENTIALS_DIR = "/mlops/credentials/s3"  # the workspace Secret, mounted into stage-in, sidecar and snapshot
GIT_CREDENTIALS_DIR = "/mlops/credentials/git"
DATASET_CREDENTIALS_DIR = (
    "/mlops/credentials/dataset"  # a foreign S3 Secret: dataset/<dataset name>/ in a run
)
MLFLOW_CREDENTIALS_DIR = "/mlops/credentials/mlflow"  # mounted into the sidecar alone
TOKEN_FILE = "/mlops/token/token"  # noqa: S105 - projected, bound to PROGRESS_AUDIENCE
MLFLOW_PORT = 5000
ORDER_VARIABLE = "MLOPS_ORDER"
# MLflow clients put these tags on every run that they make, wherever (MLFLOW_RUN_CONTEXT): by them a run is found that
# was made past the sidecar.
RUN_TAG = "mlops.eoepca.org/run"
RUN_UID_TAG = "mlops.eoepca.org/run-uid"
ATTEMPT_TAG = "mlops.eoepca.org/attempt"
WORKER_VARIABLE = "MLOPS_WORKER_INDEX"  # in every container of a run with several workers

Cause = Literal[
    # ends of a run
    "Succeeded",
    "Cancelled",
    "DatasetChanged",
    "SourceNotFound",
    "StorageDenied",
    "StorageUnavailable",
    "StorageFull",
    "OOMKilled",
    "DiskLimitExceeded",
    "RequirementsFailed",
    "UserError",
    "DeadlineExceeded",
    "StartDeadlineExceeded",
    "Suspended",  # of an attempt alone: the run goes on
    "Deleted",
    "Evicted",
    "Preempted",
    "NodeLost",
    "UploadFailed",
    "NoModelProduced",
    "InternalError",
]


class RunIdentity(Model):
    name: str
    namespace: str
    uid: str
    attempt: int = 1
    worker: int = Field(default=0, ge=0, lt=MAX_WORKERS, exclude_if=lambda worker: worker == 0)

    @property
    def prefix(self) -> str:
        """Key prefix of the run in the bucket, with a slash at its end (design, section 7)."""
        return f"mlops/runs/{self.name}-{self.uid[:8]}/"

    @property
    def attempt_prefix(self) -> str:
        return f"{self.prefix}attempts/{self.attempt}/" + (f"workers/{self.worker}/" if self.worker else "")

    def of_worker(self, index: int) -> RunIdentity:
        """Give the same attempt of another worker: its prefix lies below the attempt's."""
        return self.model_copy(update={"worker": index})


def run_tags(run: RunIdentity) -> dict[str, str]:
    """Tags of everything that a run makes in MLflow."""
    return {RUN_TAG: f"{run.namespace}/{run.name}", RUN_UID_TAG: run.uid, ATTEMPT_TAG: str(run.attempt)}


class BucketHint(Model):
    """What the Secret may leave out; a key in the Secret wins."""

    endpoint: str
    region: str = "us-east-1"
    bucket: str
    force_path_style: bool = True


# --- orders ---------------------------------------------------------------------------------------------------


class StagedDataset(Model):
    """A dataset to download and check."""

    name: str
    version: str
    digest: str
    manifest: str  # key of the DatasetManifest in the workspace's bucket
    include: list[str] | None = None
    path: str  # absolute folder for its files
    s3_credentials_dir: str | None = None  # where its own Secret is mounted; default: the workspace's
    git_credentials_dir: str | None = None


class RequirementsOrder(Model):
    """Packages to prepare; see `mlops_operator.agent.requirements`."""

    image: str
    file: str | None = None  # below the source
    packages: list[str] = []


class ResumeOrder(Model):
    """Another run, to go on from."""

    name: str
    namespace: str
    uid: str


class CheckpointsOrder(Model):
    """Where a run's checkpoints are, and how they are kept."""

    folder: str = CHECKPOINT_DIR  # absolute
    interval_seconds: float = 30.0
    keep: int = 2
    markers: list[str] = []
    resume: bool = True
    resume_from: ResumeOrder | None = None  # where the run has no checkpoint of its own


class ObjectiveOrder(Model):
    """What to make best. ``best`` and ``step`` are those of the attempts before."""

    name: str
    goal: Goal
    patience: int | None = None
    min_delta: float = 0.0
    best: float | None = None
    step: int | None = None
    checkpoint: str | None = None


class StageInOrder(Model):
    """To ``python -m mlops_operator.agent stage-in``."""

    kind: Literal["StageIn"] = "StageIn"
    run: RunIdentity  # the same for all workers; which one it is, a container learns from WORKER_VARIABLE
    bucket: BucketHint
    git: GitSource | None = None
    inline_files: dict[str, str] = {}
    datasets: list[StagedDataset] = []
    requirements: RequirementsOrder | None = None
    disk_limit_bytes: int | None = None  # what the pod may write, where the run bounds it
    parameters: dict[str, Scalar] = {}
    checkpoints: CheckpointsOrder | None = None
    # What the record must hold beside what stage-in finds out.
    spec: dict[str, object] = {}


class ModelOrder(Model):
    name: str
    path: str | None = None


class RemoteTracking(Model):
    """The MLflow server that gets what the code logs; its credentials are in MLFLOW_CREDENTIALS_DIR."""

    uri: str
    experiment: str
    secret: str | None = None  # its name, for messages


class SidecarOrder(Model):
    """To ``python -m mlops_operator.agent sidecar``."""

    kind: Literal["Sidecar"] = "Sidecar"
    run: RunIdentity  # as in StageInOrder
    workers: int = 1
    bucket: BucketHint
    experiment: str
    working_dir: str = CODE_DIR
    model: ModelOrder | None = None
    artifacts: list[ArtifactOutput] = []
    metric_sources: list[MetricSource] = []
    checkpoints: CheckpointsOrder | None = None
    objective: ObjectiveOrder | None = None
    parameters: dict[str, Scalar] = {}
    remote: RemoteTracking | None = None
    progress_url: str | None = None  # https://…/v1/progress ; the CA bundle is in MLOPS_PROGRESS_CA (PEM)
    progress_interval_seconds: float = 5.0
    upload_seconds: int = 40  # budget kept of the grace when the pod is deleted


class SnapshotOrder(Model):
    """To ``python -m mlops_operator.agent snapshot``."""

    kind: Literal["Snapshot"] = "Snapshot"
    namespace: str
    name: str
    uid: str
    version: str
    bucket: BucketHint
    s3: S3Source | None = None
    git: GitSource | None = None
    s3_credentials_dir: str | None = None
    git_credentials_dir: str | None = None


# --- reports --------------------------------------------------------------------------------------------------


class TerminationReport(Model):
    """What stage-in and snapshot leave in /dev/termination-log when they fail: at most 4 KiB."""

    cause: Cause
    message: str


class UsageReport(Model):
    """What the training used until now; None: not measured."""

    cpu_seconds: float | None = None
    memory_peak_bytes: int | None = None
    gpu_seconds: float | None = None
    gpu_unmeasured: str = ""  # why, where it was given a GPU


class TrainingExit(UsageReport):
    """What the entrypoint wrote to done.json."""

    exit_code: int
    signal: str | None = None
    start_time: PreciseTime
    end_time: PreciseTime  # which of several workers failed first is a matter of milliseconds
    deadline_exceeded: bool = False
    terminated: bool = False
    # The sidecar asked for the end (STOP_FILE); the exit code is 0 then, whatever the command's was.
    early_stopped: bool = False
    oom_kills: int = 0
    log_tail: str = ""
    warnings: list[str] = []


class TrackingReport(Model):
    """How the forwarding to a remote MLflow server goes, and which run is ours there."""

    run_id: str | None = None
    url: str | None = None
    # Forwarding: all is well so far; Forwarded: everything is there. The others: see ``message``.
    state: Literal["Forwarding", "Forwarded", "Unreachable", "Refused", "Incomplete"] = "Forwarding"
    message: str = ""


class ProgressReport(Model):
    """POSTed to the progress endpoint; also ``progress.json`` below the attempt in the bucket at its end.

    The endpoint answers 204, or 401/403/413/422/429 with a sentence.
    """

    run: RunIdentity
    pod_uid: str
    sequence: int  # rises; an older report after a newer one is dropped
    phase: Literal["Staging", "Running", "Uploading", "Done"]
    started_at: Time | None = None
    commit: str | None = None
    tracking_run_id: str | None = None
    tracking: TrackingReport | None = None  # where the order names a remote server
    step: int | None = None
    total_steps: int | None = None
    metrics: list[MetricStatus] = []  # at most 64
    objective: ObjectiveStatus | None = None
    checkpoint: CheckpointStatus | None = None  # the newest one
    resumed: ResumedStatus | None = None
    skipped_checkpoints: list[str] = []
    usage: UsageReport | None = None  # while the command runs
    training: TrainingExit | None = None  # once the command has ended
    manifest_digest: str | None = None  # once manifest.json is written
    failure: TerminationReport | None = (
        None  # the upload failed for good: UploadFailed, Storage…, NoModelProduced
    )
    warnings: list[str] = []


# --- files in the bucket --------------------------------------------------------------------------------------


class FileEntry(Model):
    """A file by its digest. ``path`` is relative to the prefix that its manifest stands in."""

    path: str
    size_bytes: int
    sha256: str


class StagedReport(Model):
    """What stage-in found out, for the record."""

    commit: str | None = None
    datasets: list[StagedDataset] = []
    resumed: ResumedStatus | None = None
    skipped_checkpoints: list[str] = []  # damaged, with the reason
    requirements_key: str | None = None  # where an installation of the packages is kept
    seconds: dict[str, float] = {}


class TensorInfo(Model):
    """An input or output of an ONNX model."""

    name: str
    data_type: str  # as in mlm: float32, int64, other …
    shape: list[int]  # -1 where the model leaves it open


class ModelDescription(Model):
    """The model's files and what was read from them."""

    path: str  # what was chosen, below the working directory or the output folder
    selected_by: Literal["path", "modelDir", "mlflow", "onnx"]
    candidates: list[str] = []  # where several fitted
    format: Literal["onnx", "skops", "pickle", "pytorch", "mlflow", "other"]
    main_file: str  # path of the file that is the model: one of files
    files: list[FileEntry]  # paths relative to the run's attempt prefix + "artifacts/model/"
    inputs: list[TensorInfo] = []
    outputs: list[TensorInfo] = []
    framework: str | None = None
    framework_version: str | None = None


class WorkerSummary(UsageReport):
    """What another worker of the attempt did; its files are named by the manifest of its own prefix."""

    index: int
    start_time: PreciseTime
    end_time: PreciseTime
    size_bytes: int = 0
    manifest_digest: str


class RunManifest(Model):
    """``manifest.json`` of an attempt and, last of all, of the run: it makes the prefix valid.

    With several workers the attempt's is that of worker 0, and the run's is written when all have ended with 0.
    """

    schema_version: Literal[1] = 1
    kind: Literal["RunManifest"] = "RunManifest"
    run: RunIdentity
    training: TrainingExit
    files: list[FileEntry]  # everything kept, relative to the attempt's prefix
    model: ModelDescription | None = None
    metrics: list[MetricStatus] = []
    objective: ObjectiveStatus | None = None
    checkpoint: CheckpointStatus | None = None
    resumed: ResumedStatus | None = None
    skipped_checkpoints: list[str] = []
    parameters: dict[str, Scalar] = {}
    commit: str | None = None
    datasets: list[StagedDataset] = []
    tracking_run_id: str | None = None
    workers: list[WorkerSummary] = []  # the others, in the run's manifest
    warnings: list[str] = []
    created_at: Time


class CheckpointManifest(Model):
    """``manifest.json`` of a checkpoint: written last, once. ``files`` are below ``files/`` of its prefix."""

    schema_version: Literal[1] = 1
    kind: Literal["CheckpointManifest"] = "CheckpointManifest"
    run: RunIdentity
    sequence: int  # rises over all attempts of the run
    name: str  # of the file or folder below the checkpoint folder; the paths of files begin with it
    step: int | None = None
    objective: float | None = None  # at that step, where it was logged by then
    digest: str
    size_bytes: int
    files: list[FileEntry]
    created_at: Time


class DatasetFile(FileEntry):
    """A file of a dataset: where its bytes come from beside their digest."""

    key: str | None = None  # S3: key in the source's bucket
    version_id: str | None = None
    lfs: bool = False  # Git: kept in LFS


class DatasetManifest(Model):
    """``mlops/datasets/<name>/versions/<version>.json``; write-once."""

    schema_version: Literal[1] = 1
    kind: Literal["DatasetManifest"] = "DatasetManifest"
    name: str
    version: str
    digest: str  # sha256:… of the canonical list, see mlops_operator.storage.digest
    files: list[DatasetFile]
    size_bytes: int
    s3: S3Source | None = None
    git: GitSource | None = None  # with ref = the commit
    revision: str | None = None
    created_at: Time
    dataset_uid: str = ""


class ModelManifest(Model):
    """``mlops/models/<model>/<version>/manifest.json``; write-once, last."""

    schema_version: Literal[1] = 1
    kind: Literal["ModelManifest"] = "ModelManifest"
    model: str
    version: str
    digest: str
    files: list[FileEntry]  # relative to the version's prefix
    size_bytes: int
    description: ModelDescription
    run: RunIdentity
    metrics: list[MetricStatus] = []
    parameters: dict[str, Scalar] = {}
    commit: str | None = None
    datasets: list[StagedDataset] = []
    created_at: Time


class VersionClaim(Model):
    """``mlops/models/<model>/<version>/claim.json``; write-once, before any file; it stays for ever.

    ``owner`` is the uid of the TrainingRun whose model it is, or of a ModelVersion without a run. A version that a
    run makes is named after its number, so the number is taken before that resource exists: the run owns the claim.
    """

    model: str
    version: str
    owner: str
    claimed_at: Time
