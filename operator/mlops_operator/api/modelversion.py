"""ModelVersion: this run's output is version 3 of that model."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from mlops_operator.api.base import ATOMIC, Conditions, DnsLabel, Model, ObjectMeta, Rule, Time, fixed

ModelName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]+[a-z0-9]$", min_length=3, max_length=50)]
# An integer, a semantic version, or a date: valid in a resource's name, an S3 key and an item's id.
VersionName = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        min_length=1,
        max_length=64,
    ),
]
Degrees = Annotated[float, Field(ge=-180, le=180)]
BoundingBox = Annotated[list[Degrees], Field(min_length=4, max_length=4)]
# Of an object with the optional member bbox.
BOUNDING_BOX_RULE = Rule(
    "!has(self.bbox) || (self.bbox[1] <= self.bbox[3] && self.bbox[1] >= -90.0 && self.bbox[3] <= 90.0)",
    "give west, south, east, north in degrees, with south <= north",
    field_path=".bbox",
)
Keyword = Annotated[str, Field(max_length=128)]
ModelPhase = Literal["Pending", "Storing", "Publishing", "Ready", "Failed"]

# The tasks of STAC's MLM extension v1.4.0.
Task = Literal[
    "regression",
    "classification",
    "scene-classification",
    "detection",
    "object-detection",
    "segmentation",
    "semantic-segmentation",
    "instance-segmentation",
    "panoptic-segmentation",
    "similarity-search",
    "generative",
    "image-captioning",
    "super-resolution",
]


class ModelMetadata(Model):
    """What the catalogue says of the model beyond what is read from its files."""

    title: Annotated[str, Field(max_length=256)] | None = Field(
        default=None, description="A short name for people."
    )
    description: Annotated[str, Field(max_length=8192)] | None = Field(
        default=None, description="What the model does."
    )
    license: Annotated[str, Field(max_length=128)] | None = Field(
        default=None, description="SPDX identifier, or other."
    )
    tasks: Annotated[list[Task], Field(max_length=8)] = Field(
        default=[], description="What it is for (mlm:tasks)."
    )
    architecture: Annotated[str, Field(max_length=128)] | None = Field(
        default=None, description="Its architecture (mlm:architecture), such as MLP or U-Net."
    )
    framework: Annotated[str, Field(max_length=64)] | None = Field(
        default=None, description="Framework that made it (mlm:framework); default: by the files."
    )
    framework_version: Annotated[str, Field(max_length=64)] | None = Field(
        default=None, description="Its version."
    )
    keywords: Annotated[list[Keyword], Field(max_length=64)] = Field(
        default=[], description="Words to find it by."
    )
    learning_approach: Annotated[str, Field(max_length=64)] = Field(
        default="supervised", description="ml-model:learning_approach."
    )
    prediction_type: Annotated[str, Field(max_length=64)] | None = Field(
        default=None, description="ml-model:prediction_type; default: the first task."
    )
    bbox: BoundingBox | None = Field(
        default=None,
        description="Where it is valid: west, south, east, north in degrees; default: the datasets' extent, else the world.",
    )

    rules = (BOUNDING_BOX_RULE,)


class RunModelSource(Model):
    """A run of this namespace."""

    name: DnsLabel = Field(description="Name of a TrainingRun in this namespace that has succeeded.")
    uid: Annotated[str, Field(max_length=64)] | None = Field(
        default=None,
        description="uid of that run, where several had the name; set by the operator on versions that a run makes.",
    )


class ModelSource(Model):
    """Where the files are; exactly one of the members."""

    training_run: RunModelSource | None = Field(default=None, description="The model that a run made.")

    one_of = ("training_run",)


class ModelVersionSpec(Model):
    """A version of a model. Its files never change."""

    model: ModelName = Field(description="Name of the model.")
    version: VersionName | None = Field(
        default=None,
        description="Version: an integer, or a semantic version; default: the next free integer. A number is never used twice.",
    )
    source: ModelSource = Field(description="Where the files are.")
    metadata: ModelMetadata = Field(
        default=ModelMetadata(), description="What the catalogue says of the model; may be changed."
    )

    rules = fixed(
        "model",
        "version",
        "source",
        advice="the files of a version never change. Apply it under a new name and version.",
    )


class ModelFileStatus(Model):
    """A file of the version."""

    path: str = Field(description="Path below the version's prefix.")
    size_bytes: int = Field(description="Size in bytes.", ge=0)
    sha256: str = Field(description="sha256, 64 hexadecimal digits.")


class LineageDataset(Model):
    """A dataset that the model was trained on."""

    name: str = Field(description="Name of the dataset.")
    version: str = Field(description="Its version.")
    digest: str = Field(description="Its digest.")


class Lineage(Model):
    """What it was made from."""

    training_run: str | None = Field(default=None, description="Name of the run.")
    training_run_uid: str | None = Field(default=None, description="uid of the run.", alias="trainingRunUID")
    commit: str | None = Field(default=None, description="Git commit of the code.")
    datasets: Annotated[list[LineageDataset], Field(max_length=16)] = Field(
        default=[], description="Datasets that it was trained on."
    )


class ModelMetric(Model):
    """A metric of the run."""

    name: str = Field(description="Name of the metric.")
    value: float = Field(description="Its last value in the run.")


class ModelVersionStatus(Model):
    """Where its files and its item are."""

    observed_generation: int | None = Field(
        default=None, description="Generation that this status speaks of."
    )
    phase: ModelPhase | None = Field(default=None, description="Where the version is, in one word.")
    reason: str | None = Field(default=None, description="Why it is there.", max_length=128)
    message: str | None = Field(default=None, description="The same for people.", max_length=4096)
    conditions: Conditions = Field(
        default=[], description="Stored, Verified, Published; Ready, Reconciling, Stalled (kstatus)."
    )
    version: str | None = Field(default=None, description="The version that was claimed.")
    uri: str | None = Field(
        default=None, description="Where its files are: s3://bucket/mlops/models/<model>/<version>/"
    )
    digest: str | None = Field(
        default=None, description="sha256 of the canonical list of (path, size, sha256)."
    )
    files: Annotated[list[ModelFileStatus], Field(max_length=100)] = Field(
        default=[], description="Its files, at most 100."
    )
    size_bytes: int | None = Field(default=None, description="Size of all files, in bytes.")
    item: str | None = Field(default=None, description="Key of its STAC item in the bucket.")
    stored_at: Time | None = Field(default=None, description="When its files were stored.")
    lineage: Lineage | None = Field(default=None, description="What it was made from.")
    metrics: Annotated[list[ModelMetric], Field(max_length=64)] = Field(
        default=[], description="Metrics of the run.", json_schema_extra=ATOMIC
    )


class ModelVersion(Model):
    """Verified model files in the bucket, and a STAC item by which others find them."""

    api_version: str = ""
    kind: str = "ModelVersion"
    metadata: ObjectMeta
    spec: ModelVersionSpec
    status: ModelVersionStatus = ModelVersionStatus()

    @classmethod
    def from_object(cls, obj: dict[str, Any]) -> ModelVersion:
        """From Kubernetes JSON. Raises pydantic.ValidationError where the CRD let something through."""
        return cls.model_validate(obj)
