"""TrainingRun: train this code on that data with these parameters."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from mlops_operator.api.base import (
    ATOMIC,
    Conditions,
    DnsLabel,
    DnsSubdomain,
    LocalObjectReference,
    Model,
    ObjectMeta,
    Quantity,
    RelativePath,
    Rule,
    Scalar,
    Time,
    fixed,
    keyed_by,
)
from mlops_operator.api.checkpoints import (
    Checkpoints,
    CheckpointStatus,
    ResolvedResume,
    ResumedStatus,
    ResumeFrom,
    SkippedText,
)
from mlops_operator.api.modelversion import ModelMetadata, ModelName, VersionName
from mlops_operator.api.objective import EarlyStopping, Objective, ObjectiveStatus
from mlops_operator.api.pods import (
    VOLUME_MOUNTS,
    VOLUMES,
    AbsolutePath,
    Affinity,
    Scratch,
    Volume,
    VolumeMount,
    mount_rules,
)
from mlops_operator.api.requirements import Requirements
from mlops_operator.api.sources import GitSource, InlineSource

RunPhase = Literal[
    "Pending", "Queued", "Staging", "Running", "Uploading", "Suspended", "Succeeded", "Failed", "Cancelled"
]
# Each worker's report and pod is kept in memory.
MAX_WORKERS = 64
ENDED: frozenset[str] = frozenset({"Succeeded", "Failed", "Cancelled"})


class RunSource(Model):
    """Where the code is; exactly one of the members."""

    git: GitSource | None = Field(default=None, description="Code in a Git repository, cloned at one commit.")
    inline: InlineSource | None = Field(default=None, description="Code in this manifest.")

    one_of = ("git", "inline")


class SecretKeySelector(Model):
    """A key of a Secret, as in a pod."""

    name: DnsSubdomain = Field(description="Name of the Secret.")
    key: Annotated[str, Field(max_length=253)] = Field(description="Key in the Secret.")
    optional: bool | None = Field(default=None, description="Whether the Secret or its key may be missing.")


class ConfigMapKeySelector(Model):
    """A key of a ConfigMap, as in a pod."""

    name: DnsSubdomain = Field(description="Name of the ConfigMap.")
    key: Annotated[str, Field(max_length=253)] = Field(description="Key in the ConfigMap.")
    optional: bool | None = Field(
        default=None, description="Whether the ConfigMap or its key may be missing."
    )


class FieldSelector(Model):
    """A field of the pod, as in a pod."""

    field_path: Annotated[str, Field(max_length=253)] = Field(
        description="Path of the field, such as spec.nodeName."
    )


class EnvVarSource(Model):
    """Where a variable's value comes from; exactly one of the members."""

    secret_key_ref: SecretKeySelector | None = Field(default=None, description="A key of a Secret.")
    config_map_key_ref: ConfigMapKeySelector | None = Field(default=None, description="A key of a ConfigMap.")
    field_ref: FieldSelector | None = Field(default=None, description="A field of the pod.")

    one_of = ("secret_key_ref", "config_map_key_ref", "field_ref")


class EnvVar(Model):
    """A variable of the training container, as in a pod."""

    name: Annotated[str, Field(pattern=r"^[-._a-zA-Z][-._a-zA-Z0-9]*$", max_length=253)] = Field(
        description="Name of the variable. Names that the operator sets (MLOPS_*, PARAM_*, MLFLOW_TRACKING_URI) are refused."
    )
    value: Annotated[str, Field(max_length=32768)] | None = Field(default=None, description="Its value.")
    value_from: EnvVarSource | None = Field(default=None, description="Where the value comes from.")

    one_of = ("value", "value_from")
    rules = (
        Rule(
            "!self.name.startsWith('MLOPS_') && !self.name.startsWith('PARAM_') && self.name != 'MLFLOW_TRACKING_URI'",
            "MLOPS_*, PARAM_* and MLFLOW_TRACKING_URI are set by the operator: choose another name",
            field_path=".name",
            reason="FieldValueForbidden",
        ),
    )


class OptionalRef(Model):
    """A Secret or ConfigMap, as in a pod."""

    name: DnsSubdomain = Field(description="Its name.")
    optional: bool | None = Field(default=None, description="Whether it may be missing.")


class EnvFromSource(Model):
    """All keys of a Secret or ConfigMap as variables, as in a pod."""

    prefix: Annotated[str, Field(max_length=253)] | None = Field(
        default=None, description="What is put before each name."
    )
    secret_ref: OptionalRef | None = Field(default=None, description="A Secret.")
    config_map_ref: OptionalRef | None = Field(default=None, description="A ConfigMap.")

    one_of = ("secret_ref", "config_map_ref")


class DatasetRef(Model):
    """A dataset that the run trains on."""

    name: DnsLabel = Field(description="Name of a TrainingDataset in this namespace.")
    version: VersionName | None = Field(
        default=None,
        description="Version of the dataset; default: the current one when the run starts, then pinned.",
    )
    include: Annotated[list[RelativePath], Field(max_length=64)] | None = Field(
        default=None, description="Globs of the files to download (** matches folders); default: all."
    )
    mount_path: AbsolutePath | None = Field(
        default=None, description="Where the files are in the container; default: /mlops/datasets/<name>."
    )

    rules = mount_rules()


class Resources(Model):
    """What the training container asks for, and what it may use at most."""

    requests: (
        Annotated[dict[Annotated[str, Field(max_length=253)], Quantity], Field(max_length=16)] | None
    ) = Field(default=None, description="Resources that are reserved, such as {cpu: 2, memory: 4Gi}.")
    limits: Annotated[dict[Annotated[str, Field(max_length=253)], Quantity], Field(max_length=16)] | None = (
        Field(default=None, description="Resources that it may use at most.")
    )

    rules = (
        Rule(
            "!has(self.requests) || !has(self.limits) || self.requests.all(name, !(name in self.limits)"
            " || quantity(string(self.requests[name])).compareTo(quantity(string(self.limits[name]))) <= 0)",
            "more than what limits allow",
            field_path=".requests",
        ),
    )


class Accelerator(Model):
    """GPUs, by a class that the platform configured."""

    class_: DnsLabel = Field(
        alias="class",
        description="Name of an accelerator class of the operator's configuration, such as gpu-large.",
    )
    count: Annotated[int, Field(ge=1, le=64)] = Field(default=1, description="How many of them.")


class Toleration(Model):
    """As in a pod."""

    key: Annotated[str, Field(max_length=253)] | None = Field(
        default=None, description="Key of the taint; default: all keys."
    )
    operator: Literal["Exists", "Equal"] | None = Field(
        default=None, description="How the value is compared; default: Equal."
    )
    value: Annotated[str, Field(max_length=63)] | None = Field(
        default=None, description="Value of the taint."
    )
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="Effect of the taint; default: all effects."
    )
    toleration_seconds: int | None = Field(
        default=None, description="How long a NoExecute taint is tolerated, in seconds.", ge=0
    )

    rules = (
        Rule(
            "(has(self.operator) && self.operator == 'Exists') ? !has(self.value) : has(self.key)",
            "give a key and, unless operator is Exists, a value; without a key, operator is Exists",
        ),
        Rule(
            "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
            "only with effect NoExecute",
            field_path=".tolerationSeconds",
        ),
    )


class Scheduling(Model):
    """Where the pod may run."""

    node_selector: (
        Annotated[
            dict[Annotated[str, Field(max_length=317)], Annotated[str, Field(max_length=63)]],
            Field(max_length=32),
        ]
        | None
    ) = Field(default=None, description="Labels that the node must have.")
    tolerations: Annotated[list[Toleration], Field(max_length=32)] | None = Field(
        default=None, description="Taints of nodes that are tolerated; the platform lists the allowed keys."
    )
    affinity: Affinity | None = Field(default=None, description="Nodes and neighbours, as in a pod.")
    priority_class_name: DnsSubdomain | None = Field(
        default=None, description="PriorityClass of the pod; the platform lists the allowed ones."
    )
    runtime_class_name: DnsSubdomain | None = Field(
        default=None, description="RuntimeClass of the pod; the platform lists the allowed ones."
    )


class PodOptions(Model):
    """Details of the pod."""

    image_pull_secrets: Annotated[list[LocalObjectReference], Field(max_length=8)] | None = Field(
        default=None, description="Secrets for the registry of the image."
    )
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = Field(
        default=None, description="When the image is pulled; default: as Kubernetes does by its tag."
    )
    service_account_name: DnsSubdomain | None = Field(
        default=None,
        description="ServiceAccount whose token the training container gets; the platform lists the allowed ones."
        " Default: no token of the API server.",
    )
    volumes: Annotated[list[Volume], Field(max_length=32)] = Field(
        default=[],
        description="Volumes of this namespace; the platform lists the allowed kinds.",
        json_schema_extra=VOLUMES,
    )
    volume_mounts: Annotated[list[VolumeMount], Field(max_length=32)] = Field(
        default=[], description="Where the volumes are.", json_schema_extra=VOLUME_MOUNTS
    )
    shared_memory: Quantity | None = Field(
        default=None,
        description="Size of /dev/shm, which counts against the memory limit; default: half of that limit.",
    )
    scratch: Scratch | None = Field(
        default=None, description="Room for files that are needed only while it trains."
    )


class Workers(Model):
    """Several pods that train together."""

    count: Annotated[int, Field(ge=1, le=MAX_WORKERS)] = Field(
        default=1, description="How many pods train together; each has the resources that the run asks for."
    )
    launcher: Literal["None", "Torchrun", "TensorFlow"] = Field(
        default="None",
        description="What tells the pods of each other. None: MASTER_ADDR, MASTER_PORT, WORLD_SIZE and RANK, one process a"
        " pod. Torchrun: PET_* beside them, which torchrun reads. TensorFlow: TF_CONFIG beside them.",
    )


class MetricSource(Model):
    """Where the training writes metrics to."""

    type: Literal["JSONLines", "TensorBoard", "Stdout"] = Field(
        description='JSONLines: one JSON object a line, such as {"step": 3, "loss": 0.21}; every number but step is a'
        " metric. TensorBoard: scalars in event files. Stdout: what a pattern finds in the command's output."
    )
    path: RelativePath | None = Field(
        default=None,
        description="JSONLines: path of the file. TensorBoard: path or glob of the folder; event files in folders below"
        " it have their folder before the name. Relative to the working directory; it may appear later.",
    )
    pattern: Annotated[str, Field(min_length=1, max_length=1024)] | None = Field(
        default=None,
        description="Stdout: regular expression (RE2), looked for in each line of stdout and stderr. Its groups are called"
        " name and value, as in (?P<name>loss|accuracy)=(?P<value>\\S+), or as the metrics, as in loss=(?P<loss>\\S+); a"
        " group called step gives the step.",
    )

    rules = (
        Rule(
            "self.type == 'Stdout' ? has(self.pattern) && !has(self.path) : has(self.path) && !has(self.pattern)",
            "Stdout takes a pattern; JSONLines and TensorBoard take a path",
        ),
    )


class Metrics(Model):
    """Where live metrics come from, beside what the code logs to MLflow and to $MLOPS_METRICS_FILE."""

    sources: Annotated[list[MetricSource], Field(max_length=8)] = Field(
        default=[],
        description="Followed while the code trains. What the code logs with MLflow, appends as JSON lines to the file"
        " that MLOPS_METRICS_FILE names, or writes as event files below AIP_TENSORBOARD_LOG_DIR, is followed always.",
    )
    objective: Objective | None = Field(
        default=None,
        description="The metric that says how good the training is: its best value is in the status.",
    )
    early_stopping: EarlyStopping | None = Field(
        default=None, description="When the training ends because the objective no longer gets better."
    )

    rules = (
        Rule(
            "!has(self.earlyStopping) || has(self.objective)",
            "name the metric that must get better: metrics.objective",
            field_path=".earlyStopping",
            reason="FieldValueInvalid",
        ),
    )


class RemoteMlflow(Model):
    """An MLflow server that gets everything that the code logs."""

    uri: Annotated[str, Field(pattern=r"^https?://[^\s/@?#]+(/[^\s@?#]*)?$", max_length=1024)] = Field(
        description="Tracking URI of the server, without credentials: https://mlflow.example.org, or"
        " https://sharinghub.example.org/mlflow/alice/wine/tracking/."
    )
    experiment: Annotated[str, Field(pattern=r"^\S(.*\S)?$", max_length=256)] | None = Field(
        default=None,
        description="Experiment on the server; default: spec.experiment. SharingHub takes only a name that ends with"
        " the project's id in GitLab: wine (42).",
    )
    credentials_secret_ref: LocalObjectReference | None = Field(
        default=None,
        description="Secret with the key MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and"
        " MLFLOW_TRACKING_PASSWORD. Only the sidecar sees it, and sends it to this server alone.",
    )


class Tracking(Model):
    """Where else the run is tracked."""

    mlflow: RemoteMlflow | None = Field(
        default=None,
        description="An MLflow server that gets parameters, tags, metrics and models, while the code trains. That it"
        " does not answer neither delays nor fails the run. What code logs there past the run comes back to it.",
    )


class ModelOutput(Model):
    """The model that the run makes."""

    name: ModelName = Field(description="Name of the model; its versions share it.")
    version: VersionName | None = Field(default=None, description="Version; default: the next free integer.")
    path: RelativePath | None = Field(
        default=None,
        description="Path or glob of the model's file or folder below the working directory. Default: what lies in"
        " MLOPS_MODEL_DIR; else the last model logged with MLflow; else *.onnx. Of several the newest.",
    )
    register_: Literal["Always", "Never"] = Field(
        default="Always",
        alias="register",
        description="Always: a ModelVersion is made when the run has succeeded. Never: the files are only kept with the run.",
    )
    metadata: ModelMetadata = Field(
        default=ModelMetadata(), description="What the catalogue says of the model."
    )


class ArtifactOutput(Model):
    """Further files to keep."""

    name: DnsLabel = Field(description="Name of the artifact: its folder below artifacts/ in the bucket.")
    path: RelativePath = Field(description="Path or glob below the working directory.")


class Outputs(Model):
    """What is kept in the bucket. The folder MLOPS_OUTPUT_DIR and the log are kept always."""

    model: ModelOutput | None = Field(default=None, description="The model that the run makes.")
    artifacts: Annotated[list[ArtifactOutput], Field(max_length=32)] = Field(
        default=[], description="Further files to keep.", json_schema_extra=keyed_by("name")
    )


class Retry(Model):
    """What is tried again when an attempt fails. Disruptions (eviction, a lost node, …) are always tried again."""

    limit: Annotated[int, Field(ge=0, le=9)] = Field(
        default=2, description="How many failures are followed by another attempt; disruptions do not count."
    )
    backoff_seconds: Annotated[int, Field(ge=1, le=3600)] = Field(
        default=10,
        description="How long to wait before the first of them; doubled for each further one, to one hour at most.",
    )
    sides: Annotated[list[Literal["Platform", "User"]], Field(max_length=2)] = Field(
        default=["Platform"],
        description="Whose failures are tried again. Platform: the storage's and the operator's own. User: the command's"
        " own exit code and memory, too.",
    )


class RerunOf(Model):
    """The run that this one repeats, or varies."""

    name: DnsLabel = Field(description="Name of the run.")
    uid: Annotated[str, Field(max_length=64)] | None = Field(
        default=None, description="Its uid: a name may have been used again."
    )


# Everything but parameters, which CEL compares in a way of its own, and what may be changed.
FIXED_FIELDS = (
    "experiment",
    "source",
    "image",
    "command",
    "args",
    "env",
    "envFrom",
    "workingDir",
    "datasets",
    "resources",
    "accelerator",
    "profile",
    "scheduling",
    "pod",
    "requirements",
    "workers",
    "metrics",
    "checkpoints",
    "resumeFrom",
    "tracking",
    "deadlineSeconds",
    "startDeadlineSeconds",
    "retry",
    "outputs",
    "rerunOf",
)


class TrainingRunSpec(Model):
    """What to train. A run is a record: but for suspend and cancel, and how it is shown and kept, all is fixed."""

    experiment: Annotated[str, Field(pattern=r"^[A-Za-z0-9][-A-Za-z0-9_. ()/]*$", max_length=128)] | None = (
        Field(
            default=None,
            description="Groups runs: a column, a selectable field, and the experiment in MLflow.",
        )
    )
    source: RunSource | None = Field(
        default=None, description="Where the code is; default: the image has it."
    )
    image: Annotated[str, Field(pattern=r"^[^\s]+$", min_length=1, max_length=512)] = Field(
        description="Image that holds what the code needs."
    )
    command: Annotated[list[Annotated[str, Field(max_length=8192)]], Field(min_length=1, max_length=64)] = (
        Field(description="Command that trains, run without a shell: [python, train.py].")
    )
    args: Annotated[list[Annotated[str, Field(max_length=8192)]], Field(max_length=256)] = Field(
        default=[], description="Arguments; $(PARAM_LEARNING_RATE) is replaced by the variable's value."
    )
    env: Annotated[list[EnvVar], Field(max_length=128)] = Field(
        default=[], description="Variables of the training container.", json_schema_extra=keyed_by("name")
    )
    env_from: Annotated[list[EnvFromSource], Field(max_length=16)] = Field(
        default=[], description="Secrets and ConfigMaps whose keys become variables."
    )
    working_dir: AbsolutePath | None = Field(
        default=None, description="Working directory; default: /mlops/code, where the source is, writable."
    )
    parameters: Annotated[dict[str, Scalar], Field(max_length=128)] = Field(
        default={},
        description="Hyperparameters: numbers, booleans or strings. Each is the variable PARAM_<NAME> in upper case, and"
        " all are in the file MLOPS_PARAMS_FILE (JSON).",
    )
    datasets: Annotated[list[DatasetRef], Field(max_length=16)] = Field(
        default=[],
        description="Datasets that the run trains on; downloaded and checked before it starts.",
        json_schema_extra=keyed_by("name"),
    )
    resources: Resources = Field(
        default=Resources(), description="CPU and memory; defaults from the operator's configuration."
    )
    accelerator: Accelerator | None = Field(default=None, description="GPUs.")
    profile: DnsLabel | None = Field(
        default=None,
        description="Name of a profile of the operator's configuration: defaults for resources, accelerator, scheduling,"
        " pod and env. What the run says itself wins.",
    )
    scheduling: Scheduling = Field(default=Scheduling(), description="Where the pod may run.")
    pod: PodOptions = Field(default=PodOptions(), description="Details of the pod.")
    requirements: Requirements | None = Field(
        default=None, description="Python packages that the image lacks; installed before the command starts."
    )
    workers: Workers | None = Field(
        default=None, description="Trains in several pods that know of each other; default: one pod."
    )
    metrics: Metrics = Field(default=Metrics(), description="Where live metrics come from.")
    checkpoints: Checkpoints = Field(
        default=Checkpoints(), description="How checkpoints are kept and taken up again."
    )
    resume_from: ResumeFrom | None = Field(
        default=None,
        description="Where the training goes on from: the newest checkpoint of another run. It waits until there is one.",
    )
    tracking: Tracking = Field(default=Tracking(), description="Where else the run is tracked.")
    deadline_seconds: Annotated[int, Field(ge=1, le=31536000)] | None = Field(
        default=None,
        description="How long the training may take, in seconds from its start; then it is stopped (DeadlineExceeded).",
    )
    start_deadline_seconds: Annotated[int, Field(ge=1, le=31536000)] | None = Field(
        default=None,
        description="How long the run may wait for its training to start, in seconds from its creation; then it fails"
        " (StartDeadlineExceeded). The time for which it is suspended does not count.",
    )
    retry: Retry = Field(default=Retry(), description="What is tried again when an attempt fails.")
    outputs: Outputs = Field(default=Outputs(), description="What is kept in the bucket.")
    rerun_of: RerunOf | None = Field(
        default=None,
        description="The run that this one repeats, or varies; for people and for `kubectl mlops`, nothing is taken from it.",
    )
    display_name: Annotated[str, Field(min_length=1, max_length=128)] | None = Field(
        default=None, description="Name for people. It may be changed."
    )
    archived: bool | None = Field(
        default=None,
        description="Whether lists leave the run out unless asked for it. It may be changed; nothing is removed.",
    )
    ttl_seconds_after_finished: Annotated[int, Field(ge=0, le=3153600000)] | None = Field(
        default=None,
        description="How long the resource stays after the run has ended, in seconds; default: as the platform"
        " configured (runRetention). It is deleted only after its history is in the bucket, where all data stays."
        " It may be changed.",
    )
    suspend: bool = Field(
        default=False,
        description="Set it to true to pause the run: its pod is ended, with time to upload what it has. Set it to false"
        " to go on with another attempt. A training that has ended already is stored all the same.",
    )
    cancel: bool = Field(
        default=False,
        description="Set it to true to stop the run. What was written is kept. It cannot be taken back.",
    )

    @property
    def worker_count(self) -> int:
        """How many pods train together."""
        return self.workers.count if self.workers is not None else 1

    rules = (
        *fixed(
            *FIXED_FIELDS, untyped=("parameters",), advice="a run is a record. Apply it under a new name."
        ),
        Rule(
            "!has(self.requirements) || !has(self.requirements.file) || has(self.source)",
            "the file is looked for in spec.source, and there is none: name a source, or give packages",
            field_path=".requirements",
        ),
        Rule(
            "!has(dyn(self).parameters) || dyn(self).parameters.all(name, name.size() <= 128"
            " && name.matches('^[A-Za-z][A-Za-z0-9_.-]*$'))",
            "a name begins with a letter and holds letters, digits and _ . - alone, at most 128",
            field_path=".parameters",
        ),
        Rule(
            "!has(dyn(self).parameters) || [dyn(self).parameters.map(name, name.replace('-', '_').replace('.', '_')"
            ".upperAscii())].all(names, names.all(name, names.filter(other, other == name).size() == 1))",
            "two names stand for one variable: PARAM_<NAME> is in upper case, with _ in place of - and .",
            field_path=".parameters",
        ),
        Rule(
            "!has(self.workers) || !has(self.workers.count) || self.workers.count == 1 || !has(self.metrics)"
            " || !has(self.metrics.earlyStopping)",
            "one worker cannot end the others in good order: stop early in the code, where all workers decide together",
            field_path=".metrics",
            reason="FieldValueForbidden",
        ),
        Rule(
            "!(has(oldSelf.cancel) && oldSelf.cancel) || (has(self.cancel) && self.cancel)",
            "cannot be taken back: what was stopped is not started again. Apply the run under a new name.",
            field_path=".cancel",
            reason="FieldValueForbidden",
        ),
    )


class MetricStatus(Model):
    """A metric, summed up; the history is in the bucket."""

    name: Annotated[str, Field(max_length=250)] = Field(description="Name of the metric.")
    latest: float | None = Field(default=None, description="Last finite value.")
    min: float | None = Field(default=None, description="Smallest finite value.")
    max: float | None = Field(default=None, description="Largest finite value.")
    step: int | None = Field(default=None, description="Step of the last value.")
    non_finite: int | None = Field(default=None, description="How many values were NaN or infinite, if any.")
    updated_at: Time | None = Field(default=None, description="When the last value was logged.")


class ProgressStatus(Model):
    """How far the training is, by what it logs."""

    step: int | None = Field(default=None, description="Highest step logged.")
    total_steps: int | None = Field(
        default=None, description="Steps in all, where a parameter says it (epochs, max_steps, …)."
    )
    fraction: float | None = Field(default=None, description="step / totalSteps, from 0 to 1.")
    estimated_completion_time: Time | None = Field(
        default=None, description="When the training ends at this speed."
    )
    updated_at: Time | None = Field(default=None, description="When the last report arrived.")


class UsageStatus(Model):
    """What the training used. A figure that could not be measured is absent."""

    cpu_seconds: float | None = Field(default=None, description="CPU time that was used, in seconds.")
    gpu_seconds: float | None = Field(
        default=None,
        description="For how long GPUs were busy, in seconds, added up over them (utilization, by nvidia-smi of the image).",
    )
    memory_peak_bytes: int | None = Field(default=None, description="Most memory that was used, in bytes.")
    unmeasured: str | None = Field(
        default=None, description="What could not be measured, and why.", max_length=512
    )


class AttemptStatus(Model):
    """One Job of the run."""

    number: int = Field(description="Number of the attempt, from 1; the Job is named <run>-<number>.", ge=1)
    job_uid: str | None = Field(default=None, description="uid of the Job, once it is made.", alias="jobUID")
    pod_uid: str | None = Field(default=None, description="uid of the pod.", alias="podUID")
    pod_name: str | None = Field(default=None, description="Name of the pod.")
    node_name: str | None = Field(default=None, description="Node that the pod ran on.")
    counted: bool | None = Field(
        default=None,
        description="Whether it counts for spec.retry.limit; disruptions and suspensions do not. Given once it has ended.",
    )
    start_time: Time | None = Field(default=None, description="When the attempt was decided.")
    training_start_time: Time | None = Field(default=None, description="When the command was started.")
    end_time: Time | None = Field(default=None, description="When it ended.")
    cause: str | None = Field(
        default=None,
        description="How it ended: Succeeded, or the cause of its failure. Without an end time: why it is being ended.",
        max_length=64,
    )
    exit_code: int | None = Field(default=None, description="Exit code of the command, once it is known.")
    message: str | None = Field(default=None, description="What happened, for people.", max_length=512)
    logs: str | None = Field(default=None, description="Where the whole log is in the bucket.")
    resumed_from: ResumedStatus | None = Field(
        default=None, description="The checkpoint that the attempt went on from."
    )
    skipped_checkpoints: Annotated[list[SkippedText], Field(max_length=8)] | None = Field(
        default=None,
        description="Newer checkpoints that were damaged and therefore not taken, and why.",
        json_schema_extra=ATOMIC,
    )
    usage: UsageStatus | None = Field(default=None, description="What the attempt used.")


class ResolvedDataset(Model):
    """A dataset, pinned."""

    name: str = Field(description="Name of the TrainingDataset.")
    version: str = Field(description="Version that the run trains on.")
    digest: str = Field(description="Digest of that version: sha256:…")


class ResolvedStatus(Model):
    """What the run really used."""

    image: str | None = Field(default=None, description="Image with its digest, as the node ran it.")
    commit: str | None = Field(default=None, description="Git commit, 40 hexadecimal digits.")
    datasets: Annotated[list[ResolvedDataset], Field(max_length=16)] = Field(
        default=[], description="Datasets, pinned."
    )
    parameters_digest: str | None = Field(
        default=None, description="sha256 of the parameters as canonical JSON."
    )
    resume_from: ResolvedResume | None = Field(
        default=None, description="The run that spec.resumeFrom stands for, pinned."
    )


class FailureStatus(Model):
    """Why the run failed."""

    cause: str = Field(description="One word, such as OOMKilled or UserError.", max_length=64)
    side: Literal["User", "Platform"] = Field(description="Who can mend it.")
    worker: int | None = Field(
        default=None, description="Index of the worker that failed first, where there are several.", ge=0
    )
    container: str | None = Field(default=None, description="Container that failed.")
    exit_code: int | None = Field(default=None, description="Exit code of the command.")
    message: str = Field(description="What happened and what to do.", max_length=4096)
    log_tail: str | None = Field(
        default=None, description="Last lines of the log, at most 2 KiB.", max_length=2048
    )


class RetryStatus(Model):
    """What was tried again so far."""

    failures: int = Field(default=0, description="Failures that count for spec.retry.limit.")
    disruptions: int = Field(default=0, description="Short disruptions in a row; ten of them end the run.")
    next_time: Time | None = Field(default=None, description="When the next attempt begins at the earliest.")


class RunStorageStatus(Model):
    """Where everything of the run is."""

    uri: str = Field(description="Where everything of the run is: s3://bucket/mlops/runs/<run>-<uid8>/")
    manifest_digest: str | None = Field(
        default=None, description="sha256 of manifest.json, once the run has succeeded."
    )
    size_bytes: int | None = Field(
        default=None, description="Size of the files that the manifest names, in bytes."
    )


class RunModelStatus(Model):
    """The model that the run made."""

    name: str | None = Field(default=None, description="Name of the ModelVersion that the run made.")
    version: str | None = Field(default=None, description="Version that was claimed for it.")
    path: str | None = Field(default=None, description="The file or folder that was taken for the model.")


class TrackingStatus(Model):
    """Where the code logged to."""

    run_id: str | None = Field(
        default=None, description="Id of the run in MLflow: on the remote server where there is one."
    )
    url: str | None = Field(default=None, description="Page of the run on the remote server.")


class RecordedStatus(Model):
    """What the history in the bucket holds of the run."""

    generation: int = Field(description="Generation of the resource that was recorded.")
    model: str | None = Field(default=None, description="ModelVersion that the recorded status names.")
    time: Time = Field(description="When it was recorded.")


class TrainingRunStatus(Model):
    """What became of it."""

    observed_generation: int | None = Field(
        default=None, description="Generation that this status speaks of."
    )
    phase: RunPhase | None = Field(
        default=None, description="Where the run is, in one word; derived from the conditions."
    )
    reason: str | None = Field(
        default=None, description="Why it is there: a waiting reason or an ending cause.", max_length=128
    )
    message: str | None = Field(default=None, description="The same for people.", max_length=4096)
    conditions: Conditions = Field(
        default=[],
        description="Accepted, Running, Suspended, Complete or Failed; MetricsReceived and MetricsForwarded; Ready,"
        " Reconciling, Stalled (kstatus).",
    )
    start_time: Time | None = Field(default=None, description="When the training started.")
    completion_time: Time | None = Field(default=None, description="When the run ended.")
    suspended_seconds: int | None = Field(
        default=None,
        description="How long the run was suspended, in seconds, without the time that it is now.",
    )
    attempts: Annotated[list[AttemptStatus], Field(max_length=10)] = Field(
        default=[],
        description="The Jobs of the run: the newest ten, the current one last.",
        json_schema_extra=ATOMIC,
    )
    retry: RetryStatus | None = Field(default=None, description="What was tried again so far.")
    resolved: ResolvedStatus | None = Field(default=None, description="What the run really used.")
    progress: ProgressStatus | None = Field(default=None, description="How far the training is.")
    metrics: Annotated[list[MetricStatus], Field(max_length=64)] = Field(
        default=[],
        description="Metrics, summed up; at most 64, the newest first.",
        json_schema_extra=ATOMIC,
    )
    objective: ObjectiveStatus | None = Field(
        default=None, description="The best value of metrics.objective, over all attempts."
    )
    checkpoint: CheckpointStatus | None = Field(
        default=None, description="The newest checkpoint in the bucket."
    )
    failure: FailureStatus | None = Field(default=None, description="Why the run failed.")
    storage: RunStorageStatus | None = Field(default=None, description="Where everything is in the bucket.")
    model: RunModelStatus | None = Field(default=None, description="The model that the run made.")
    tracking: TrackingStatus | None = Field(default=None, description="Where the code logged to.")
    usage: UsageStatus | None = Field(
        default=None, description="What the training used, over all attempts; up to date to the minute."
    )
    warnings: Annotated[list[Annotated[str, Field(max_length=512)]], Field(max_length=32)] = Field(
        default=[],
        description="What was cut or left out, and other things that are no failure.",
        json_schema_extra=ATOMIC,
    )
    recorded: RecordedStatus | None = Field(
        default=None, description="What the history in the bucket (run.json) holds, once the run has ended."
    )


class TrainingRun(Model):
    """Train this code on that data with these parameters on a CPU or GPU; keep everything in the bucket."""

    api_version: str = ""
    kind: str = "TrainingRun"
    metadata: ObjectMeta
    spec: TrainingRunSpec
    status: TrainingRunStatus = TrainingRunStatus()

    rules = (
        Rule(
            "self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && self.metadata.name.size() <= 52",
            "metadata.name: at most 52 characters: lower case letters, digits and - (the names of the Jobs and folders"
            " are made from it)",
        ),
    )

    @classmethod
    def from_object(cls, obj: dict[str, Any]) -> TrainingRun:
        """From Kubernetes JSON. Raises pydantic.ValidationError where the CRD let something through."""
        return cls.model_validate(obj)
