"""The words that a TrainingRun's ``status.reason`` may hold: why it waits, why it is not accepted, how it ended.

One table: the page docs/reference/causes.md is made from it, and a test holds that nothing else is ever said and that
each row was produced on a real cluster.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from mlops_operator.api.wire import Cause

Kind = Literal["Waiting", "NotAccepted", "Ending"]
Side = Literal["User", "Platform"]


@dataclass(frozen=True)
class Row:
    """A word, what it means, and what to do.

    Attributes
    ----------
    side
        Who can mend it; of an ending alone.
    at_apply
        The API server refuses it at ``kubectl apply`` already. The operator says it only of a run that came in under
        another definition of the resource.
    """

    kind: Kind
    name: str
    means: str
    advice: str
    side: Side | None = None
    at_apply: bool = False


def _waiting(name: str, means: str, advice: str) -> Row:
    return Row("Waiting", name, means, advice)


def _not_accepted(name: str, means: str, advice: str, *, at_apply: bool = False) -> Row:
    return Row("NotAccepted", name, means, advice, at_apply=at_apply)


def _user(name: Cause, means: str, advice: str) -> Row:
    return Row("Ending", name, means, advice, "User")


def _platform(name: Cause, means: str, advice: str) -> Row:
    return Row("Ending", name, means, advice, "Platform")


ROWS: tuple[Row, ...] = (
    # --- why a run waits ------------------------------------------------------------------------------------------
    _waiting(
        "DatasetNotReady",
        "A dataset that it names is missing, or its version is not made yet.",
        "Apply it, or look at the dataset's own message.",
    ),
    _waiting(
        "CheckpointMissing",
        "No run of the name in `spec.resumeFrom` has a checkpoint in the bucket.",
        "Nothing, if it is still to be made; else cancel the run, and apply it anew with the right name.",
    ),
    _waiting(
        "SecretMissing",
        "The workspace's Secret, or one that the run names, is not there or lacks a key.",
        "Create it; the message names it.",
    ),
    _waiting(
        "NotPermitted",
        "The operator may not read the workspace's Secret, may not dial its endpoint, or may not make the Job.",
        "The message has the command for the platform's administrator.",
    ),
    _waiting(
        "StorageDenied",
        "The bucket refuses the operator when it looks whether everything is stored.",
        "Correct the workspace's credentials; it is looked at again.",
    ),
    _waiting(
        "StorageUnavailable",
        "The bucket does not answer the operator when it looks whether everything is stored.",
        "Nothing, or look at the S3 server; it is asked again.",
    ),
    _waiting(
        "ImagePull",
        "The node cannot pull an image.",
        "A wrong name needs a new run with another `spec.image`; where a login is missing, make the Secret.",
    ),
    _waiting(
        "Unschedulable",
        "No node fits; the scheduler's own words say what is missing.",
        "Wait for a node, or ask for less under a new name.",
    ),
    _waiting(
        "VolumesNotReady",
        "The node has not started the pod for half a minute: a volume cannot be mounted, or an image is large.",
        "The message has the command that shows the kubelet's words.",
    ),
    _waiting(
        "ContainerNotCreated",
        "The node cannot create a container, most often as a Secret or ConfigMap of `env` is missing.",
        "The message has the kubelet's words; it goes on as soon as that is mended.",
    ),
    _waiting(
        "ContainerCrashes",
        "A container of the platform ends again and again, and is started again.",
        "The message has its last words and the command that shows its log.",
    ),
    _waiting(
        "QuotaExceeded",
        "A ResourceQuota leaves no room for the Job or its pod, or a LimitRange forbids what it asks for.",
        "The message has the numbers (requested, used, hard); it starts by itself when there is room.",
    ),
    _waiting(
        "JobNameTaken",
        "A Job of the run's name exists and is not the operator's; it is left alone.",
        "Delete it, or apply the run under another name.",
    ),
    _waiting(
        "ServiceNameTaken",
        "A Service of the name that the run's workers need exists and is not the operator's; it is left alone.",
        "Delete it, or apply the run under another name.",
    ),
    _waiting(
        "PodNotCreated",
        "Kubernetes has made no pod for the Job, and the API server does not say why.",
        "It mostly comes within a minute; the message says where to look if not.",
    ),
    _waiting(
        "PodRefused",
        "The API server refuses the pod: a service account or priority class is missing, or a policy is against it.",
        "The message has the server's or the policy's own words.",
    ),
    _waiting(
        "Queued",
        "As many runs of the namespace as its zone allows are running; the run stands in line.",
        "Nothing; the message has its place and the numbers.",
    ),
    _waiting(
        "ZoneUnknown",
        "The namespace's label names a zone that the operator's configuration does not have.",
        "The platform's administrator corrects the label or the configuration.",
    ),
    _waiting("Cancelling", "The run was cancelled; it has time to upload what it has.", "Nothing."),
    _waiting(
        "Terminating",
        "Its pod was deleted or is taken away, or one of its workers has failed; the rest has time to upload what it has.",
        "Nothing: the message says why; another attempt may follow.",
    ),
    _waiting(
        "NodeUnreachable",
        "The pod's node does not answer, so the pod may still be running.",
        "Bring the node back, delete its Node object, or taint it as out of service; the message has the commands.",
    ),
    _waiting(
        "BackOff",
        "An attempt failed or was disrupted; the next one begins at the time that the message gives.",
        "Nothing, or mend what the message says.",
    ),
    _waiting(
        "Suspending", "`spec.suspend` was set; its pod has time to upload what it has.", "Nothing."
    ),
    _waiting("Suspended", "`spec.suspend` is set, and nothing runs.", "Set it to false to go on."),
    # --- why it is not accepted -----------------------------------------------------------------------------------
    _not_accepted(
        "UnknownAcceleratorClass",
        "`spec.accelerator.class` is not one of the platform's.",
        "The message lists those that there are.",
    ),
    _not_accepted(
        "UnknownProfile",
        "`spec.profile` is none of those that the namespace's zone allows.",
        "The message lists those that there are.",
    ),
    _not_accepted(
        "ExceedsZone",
        "The run asks for more than a run in the namespace's zone may use: it would never start.",
        "The message has the numbers; ask for less.",
    ),
    _not_accepted(
        "TolerationNotAllowed",
        "`spec.scheduling.tolerations` has a key that the platform does not allow.",
        "The message lists the allowed keys.",
    ),
    _not_accepted(
        "ServiceAccountNotAllowed",
        "`spec.pod.serviceAccountName` is not one that the platform allows.",
        "The message lists the allowed ones.",
    ),
    _not_accepted(
        "PriorityClassNotAllowed",
        "`spec.scheduling.priorityClassName` is not one that the platform allows.",
        "The message lists the allowed ones.",
    ),
    _not_accepted(
        "RuntimeClassNotAllowed",
        "`spec.scheduling.runtimeClassName` is not one that the platform allows.",
        "The message lists the allowed ones.",
    ),
    _not_accepted(
        "VolumeNotAllowed",
        "`spec.pod.volumes` has a kind of volume that the platform does not allow.",
        "The message lists the allowed kinds.",
    ),
    _not_accepted(
        "VolumeNotThere",
        "`spec.pod.volumeMounts` names a volume that is not in `spec.pod.volumes`.",
        "The message lists those that there are.",
    ),
    _not_accepted(
        "MountsCollide",
        "Two mounts, or a mount and a dataset, are at one place or inside one another.",
        "Give one of them another `mountPath`.",
    ),
    _not_accepted(
        "SharedMemoryAboveLimit",
        "`spec.pod.sharedMemory` is more than the memory limit, against which it counts.",
        "Raise `spec.resources.limits.memory`, or ask for less.",
    ),
    _not_accepted(
        "WorkingDirNotShared",
        "A path is below a working directory whose files only the image sees.",
        "Write to `MLOPS_OUTPUT_DIR`, or take a working directory below `/mlops/code`.",
    ),
    _not_accepted(
        "BadPattern",
        "`spec.metrics.sources[].pattern` is no regular expression of RE2, or names no group.",
        "The message says what is wrong with it.",
    ),
    _not_accepted(
        "SpecTooLarge",
        "The spec does not fit into a pod's variable.",
        "Keep code in Git, and long values in a ConfigMap.",
    ),
    _not_accepted("Invalid", "The API server refused the Job.", "The message has its words."),
    _not_accepted(
        "BadQuantity",
        "`spec.resources` or a size in `spec.pod` has a text that is no quantity.",
        "Write it as 500m, 2 or 4Gi.",
        at_apply=True,
    ),
    _not_accepted(
        "RequestAboveLimit",
        "`spec.resources` asks for more than its own limit.",
        "Raise the limit, or ask for less.",
        at_apply=True,
    ),
    _not_accepted(
        "ParameterNamesCollide",
        "Two parameters would be the same variable `PARAM_…`.",
        "Rename one.",
        at_apply=True,
    ),
    _not_accepted("DatasetTwice", "A dataset is named more than once.", "Name it once.", at_apply=True),
    # --- how it ended ---------------------------------------------------------------------------------------------
    _user(
        "UserError",
        "The command ended with another code than 0.",
        "`.status.failure.logTail`, and the whole log in the bucket.",
    ),
    _user(
        "OOMKilled",
        "It used more memory than its limit. (Side Platform where a container of the platform did.)",
        "Raise `spec.resources.limits.memory`, or use less.",
    ),
    _user(
        "RequirementsFailed",
        "The packages of `spec.requirements` could not be installed.",
        "`.status.failure.logTail` has pip's last lines.",
    ),
    _user(
        "DiskLimitExceeded",
        "It wrote more than the limit of its scratch folder, of a volume, or of `ephemeral-storage` and was evicted; or its"
        " datasets alone are more.",
        "Raise the limit that the message names, or write less.",
    ),
    _user(
        "DeadlineExceeded",
        "It ran longer than `spec.deadlineSeconds`.",
        "Raise it; what was written is kept.",
    ),
    _user(
        "NoModelProduced",
        "It succeeded, but no model was found; the message lists what was seen.",
        "Write it to `MLOPS_MODEL_DIR`, or set `spec.outputs.model.path`.",
    ),
    _user(
        "SourceNotFound",
        "The repository, ref, path or prefix is not there.",
        "Correct it; a private repository needs `credentialsSecretRef`.",
    ),
    _user(
        "DatasetChanged",
        "A file of the dataset is not the one of its snapshot.",
        "Restore it, or make a new version of the dataset.",
    ),
    _user("Suspended", "Of an attempt alone: `spec.suspend` was set.", "Set it to false to go on."),
    _user("Cancelled", "`spec.cancel` was set.", "Nothing: what was written is kept."),
    _platform("StorageDenied", "S3 refused the credentials.", "The Secret, or the bucket's policy."),
    _platform("StorageUnavailable", "S3 did not answer for minutes.", "The S3 server, or the network."),
    _platform(
        "StorageFull", "No space left, or the quota is used up.", "Free some, or raise the quota."
    ),
    _platform(
        "UploadFailed",
        "The results could not be brought to the bucket.",
        "The message says which file and why.",
    ),
    _platform(
        "StartDeadlineExceeded",
        "The training did not start within `spec.startDeadlineSeconds`.",
        "The message says what it waited for last.",
    ),
    _platform(
        "Deleted",
        "The pod or Job was deleted by somebody before the end.",
        "Nothing: another attempt follows, ten times in a row at most.",
    ),
    _platform(
        "Evicted",
        "The pod was evicted: by a drain, or as its node ran short of something.",
        "Nothing: another attempt follows, ten times in a row at most.",
    ),
    _platform(
        "Preempted",
        "A pod of higher priority took its place.",
        "Nothing: another attempt follows, ten times in a row at most.",
    ),
    _platform(
        "NodeLost",
        "The node was lost, shut down or deleted.",
        "Nothing: another attempt follows, ten times in a row at most.",
    ),
    _platform(
        "InternalError",
        "Something that the operator does not know.",
        "The message has what is known; please report it.",
    ),
)  # fmt: skip


def rows(kind: Kind) -> tuple[Row, ...]:
    """Give the rows of a kind, in the table's order."""
    return tuple(row for row in ROWS if row.kind == kind)


def side_of(cause: Cause) -> Side:
    """Who can mend an ending."""
    return next((row.side for row in rows("Ending") if row.name == cause and row.side), "User")


def known_cause(name: str) -> Cause:
    """Give a cause by its name; InternalError where it is none."""
    return next((cause for cause in get_args(Cause) if cause == name), "InternalError")
