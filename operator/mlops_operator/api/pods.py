"""Parts of a pod that a run may name, as they are in a pod: affinity, volumes and their mounts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mlops_operator.api.base import DnsLabel, DnsSubdomain, Model, Quantity, RelativePath, Rule, keyed_by

# An absolute path without . and .. in it, and not the root.
AbsolutePath = Annotated[str, Field(pattern=r"^(/\.?[^/\s:.][^/\s:]*)+$", max_length=512)]
LabelKey = Annotated[str, Field(min_length=1, max_length=317)]
LabelValue = Annotated[str, Field(max_length=63)]
SCRATCH_DIR = "/mlops/scratch"


def mount_rules(also: str = "") -> tuple[Rule, ...]:
    """Give the rules of a member ``mountPath``. ``also``: one path below /mlops that is free, too."""
    free = f" || self.mountPath == '{also}'" if also else ""
    return (
        Rule(
            "!has(self.mountPath) || !(self.mountPath + '/').startsWith('/mlops/')"
            f" || self.mountPath.startsWith('/mlops/code/'){free}",
            "below /mlops only /mlops/code/… may be named; the rest is the operator's",
            field_path=".mountPath",
            reason="FieldValueForbidden",
        ),
        Rule(
            "!has(self.mountPath) || !(self.mountPath in ['/tmp', '/dev/shm', '/dev', '/proc', '/sys', '/etc'])",
            "a folder of the system is not free: choose another, such as /data",
            field_path=".mountPath",
            reason="FieldValueForbidden",
        ),
    )


# --- affinity -------------------------------------------------------------------------------------------------


class NodeSelectorRequirement(Model):
    """A demand on a label or field of a node, as in a pod."""

    key: LabelKey = Field(description="Label of the node, or metadata.name among matchFields.")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"] = Field(
        description="How its value is compared."
    )
    values: Annotated[list[LabelValue], Field(max_length=32)] | None = Field(
        default=None, description="Values for In and NotIn, one number for Gt and Lt; none otherwise."
    )

    rules = (
        Rule(
            "(self.operator in ['Exists', 'DoesNotExist']) != (has(self.values) && self.values.size() > 0)",
            "In, NotIn, Gt and Lt need values; Exists and DoesNotExist have none",
            field_path=".values",
        ),
    )


class NodeSelectorTerm(Model):
    """Demands on a node that must all hold, as in a pod."""

    match_expressions: Annotated[list[NodeSelectorRequirement], Field(max_length=16)] | None = Field(
        default=None, description="Demands on labels."
    )
    match_fields: Annotated[list[NodeSelectorRequirement], Field(max_length=16)] | None = Field(
        default=None, description="Demands on fields: only metadata.name."
    )


class NodeSelector(Model):
    """Nodes, as in a pod."""

    node_selector_terms: Annotated[list[NodeSelectorTerm], Field(min_length=1, max_length=8)] = Field(
        description="One of these must hold."
    )


class PreferredNode(Model):
    """A wish for nodes, as in a pod."""

    weight: Annotated[int, Field(ge=1, le=100)] = Field(description="How much it counts.")
    preference: NodeSelectorTerm = Field(description="The nodes.")


class NodeAffinity(Model):
    """Which nodes, as in a pod."""

    required_during_scheduling_ignored_during_execution: NodeSelector | None = Field(
        default=None, description="Nodes that may take the pod."
    )
    preferred_during_scheduling_ignored_during_execution: (
        Annotated[list[PreferredNode], Field(max_length=8)] | None
    ) = Field(default=None, description="Nodes that are better than others.")


class LabelSelectorRequirement(Model):
    """A demand on a label, as in a label selector."""

    key: LabelKey = Field(description="The label.")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"] = Field(
        description="How its value is compared."
    )
    values: Annotated[list[LabelValue], Field(max_length=32)] | None = Field(
        default=None, description="Values for In and NotIn; none otherwise."
    )

    rules = (
        Rule(
            "(self.operator in ['Exists', 'DoesNotExist']) != (has(self.values) && self.values.size() > 0)",
            "In and NotIn need values; Exists and DoesNotExist have none",
            field_path=".values",
        ),
    )


class LabelSelector(Model):
    """Pods of this namespace by their labels, as in a pod."""

    match_labels: Annotated[dict[LabelKey, LabelValue], Field(max_length=16)] | None = Field(
        default=None, description="Labels and their values."
    )
    match_expressions: Annotated[list[LabelSelectorRequirement], Field(max_length=16)] | None = Field(
        default=None, description="Demands on labels."
    )


class PodAffinityTerm(Model):
    """Pods, and what "the same place" means, as in a pod. Only pods of this namespace are seen."""

    label_selector: LabelSelector = Field(description="The pods.")
    topology_key: LabelKey = Field(
        description="Label of nodes: where its value is the same is the same place, such as kubernetes.io/hostname."
    )


class WeightedPodAffinityTerm(Model):
    """A wish for places, as in a pod."""

    weight: Annotated[int, Field(ge=1, le=100)] = Field(description="How much it counts.")
    pod_affinity_term: PodAffinityTerm = Field(description="The pods and the place.")


class PodAffinity(Model):
    """Near to, or far from, other pods of this namespace, as in a pod."""

    required_during_scheduling_ignored_during_execution: (
        Annotated[list[PodAffinityTerm], Field(max_length=8)] | None
    ) = Field(default=None, description="What must hold.")
    preferred_during_scheduling_ignored_during_execution: (
        Annotated[list[WeightedPodAffinityTerm], Field(max_length=8)] | None
    ) = Field(default=None, description="What is better.")


class Affinity(Model):
    """As in a pod."""

    node_affinity: NodeAffinity | None = Field(default=None, description="Which nodes.")
    pod_affinity: PodAffinity | None = Field(default=None, description="Near to which pods.")
    pod_anti_affinity: PodAffinity | None = Field(default=None, description="Far from which pods.")


# --- volumes --------------------------------------------------------------------------------------------------


class KeyToPath(Model):
    """A key as a file, as in a pod."""

    key: Annotated[str, Field(min_length=1, max_length=253)] = Field(description="The key.")
    path: RelativePath = Field(description="Path of its file in the volume.")
    mode: Annotated[int, Field(ge=0, le=0o777)] | None = Field(
        default=None, description="Mode of the file, as a decimal number."
    )


Items = Annotated[list[KeyToPath], Field(max_length=32)]
Mode = Annotated[int, Field(ge=0, le=0o777)]


class ConfigMapVolume(Model):
    """A ConfigMap's keys as files, as in a pod."""

    name: DnsSubdomain = Field(description="Name of the ConfigMap.")
    items: Items | None = Field(default=None, description="Keys that become files; default: all.")
    default_mode: Mode | None = Field(default=None, description="Mode of the files, as a decimal number.")
    optional: bool | None = Field(default=None, description="Whether the ConfigMap may be missing.")


class SecretVolume(Model):
    """A Secret's keys as files, as in a pod."""

    secret_name: DnsSubdomain = Field(description="Name of the Secret.")
    items: Items | None = Field(default=None, description="Keys that become files; default: all.")
    default_mode: Mode | None = Field(default=None, description="Mode of the files, as a decimal number.")
    optional: bool | None = Field(default=None, description="Whether the Secret may be missing.")


class ClaimVolume(Model):
    """A PersistentVolumeClaim, as in a pod."""

    claim_name: DnsSubdomain = Field(description="Name of the claim.")
    read_only: bool | None = Field(default=None, description="Whether it is mounted for reading alone.")


class EmptyDirVolume(Model):
    """A folder that lives as long as the pod, as in a pod."""

    medium: Literal["", "Memory"] | None = Field(
        default=None,
        description="Memory: it counts against the memory limit. Default: on the node's disk.",
    )
    size_limit: Quantity | None = Field(
        default=None, description="How much it may hold; a pod that writes more is evicted."
    )


class NfsVolume(Model):
    """A folder of an NFS server, as in a pod."""

    server: Annotated[str, Field(pattern=r"^[^\s/]+$", max_length=253)] = Field(
        description="Name or address of the server."
    )
    path: AbsolutePath = Field(description="Folder that the server exports.")
    read_only: bool | None = Field(default=None, description="Whether it is mounted for reading alone.")


class Volume(Model):
    """A volume of the training container, as in a pod; exactly one of the members beside the name."""

    name: Annotated[str, Field(min_length=1, max_length=56, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")] = (
        Field(description="Name by which volumeMounts speak of it.")
    )
    config_map: ConfigMapVolume | None = Field(default=None, description="A ConfigMap.")
    secret: SecretVolume | None = Field(default=None, description="A Secret.")
    persistent_volume_claim: ClaimVolume | None = Field(default=None, description="A PersistentVolumeClaim.")
    empty_dir: EmptyDirVolume | None = Field(default=None, description="A folder of the pod.")

    nfs: NfsVolume | None = Field(
        default=None, description="A folder of an NFS server, where the platform allows it."
    )

    one_of = ("config_map", "secret", "persistent_volume_claim", "empty_dir", "nfs")


class VolumeMount(Model):
    """Where a volume is in the training container, as in a pod."""

    name: DnsLabel = Field(description="Name of a volume of spec.pod.volumes.")
    mount_path: AbsolutePath = Field(description="Where it is in the container.")
    sub_path: RelativePath | None = Field(default=None, description="Path in the volume; default: all of it.")
    read_only: bool | None = Field(default=None, description="Whether it is for reading alone.")

    rules = mount_rules()


class Scratch(Model):
    """Room for files that are needed only while the run trains; the variable MLOPS_SCRATCH_DIR names it."""

    size: Quantity = Field(description="How much it holds, such as 200Gi.")
    storage_class_name: DnsSubdomain | None = Field(
        default=None,
        description="Class of a volume that is made for the pod and deleted with it. Default: the node's own disk;"
        " a pod that writes more than size to it is evicted.",
    )
    mount_path: AbsolutePath = Field(default=SCRATCH_DIR, description="Where it is in the container.")

    rules = mount_rules(also=SCRATCH_DIR)


VOLUMES = keyed_by("name")
VOLUME_MOUNTS = keyed_by("mountPath")
