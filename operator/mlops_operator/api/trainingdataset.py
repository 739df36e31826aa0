"""TrainingDataset: this data, from there, is version 2."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, computed_field

from mlops_operator.api.base import Conditions, Model, ObjectMeta, Rule, SecretRef, Time
from mlops_operator.api.modelversion import BOUNDING_BOX_RULE, BoundingBox, Keyword, VersionName
from mlops_operator.api.sources import GitSource

DatasetPhase = Literal["Pending", "Snapshotting", "Ready", "Failed"]
Rfc3339 = Annotated[
    str,
    Field(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$",
        max_length=35,
    ),
]


class S3Source(Model):
    """Objects below a prefix of a bucket."""

    uri: Annotated[str, Field(pattern=r"^s3://[a-z0-9][a-z0-9.-]*[a-z0-9](/.*)?$", max_length=1024)] = Field(
        description="Where the objects are: s3://bucket/prefix/. Objects of the operator's own (mlops/, stac/) are not data."
    )
    credentials_secret_ref: SecretRef | None = Field(
        default=None,
        description="Secret with the keys AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_ENDPOINT_URL; default: the"
        " workspace's own.",
    )


class DatasetSource(Model):
    """Where the data is; exactly one of the members."""

    s3: S3Source | None = Field(default=None, description="Objects in S3.")
    git: GitSource | None = Field(
        default=None, description="Files in a Git repository, those in LFS included."
    )

    one_of = ("s3", "git")


class Provider(Model):
    """As in STAC."""

    name: Annotated[str, Field(max_length=256)] = Field(description="Name of the organisation.")
    description: Annotated[str, Field(max_length=2048)] | None = Field(
        default=None, description="What it did."
    )
    roles: (
        Annotated[list[Literal["licensor", "producer", "processor", "host"]], Field(max_length=4)] | None
    ) = Field(default=None, description="Its roles.")
    url: Annotated[str, Field(max_length=2048)] | None = Field(default=None, description="Its home page.")


class Extent(Model):
    """Where and when, as in STAC."""

    bbox: BoundingBox | None = Field(default=None, description="West, south, east, north in degrees.")
    interval: Annotated[list[Rfc3339], Field(min_length=2, max_length=2)] | None = Field(
        default=None, description="First and last time (RFC 3339), such as 2024-05-01T00:00:00Z."
    )

    rules = (BOUNDING_BOX_RULE,)


class TrainingDatasetSpec(Model):
    """What the data is. A changed version asks for a new snapshot; versions already made never change."""

    version: VersionName = Field(description="Name of the version that the source holds now.")
    source: DatasetSource = Field(description="Where the data is.")
    storage: Literal["Reference"] = Field(
        default="Reference",
        description="Reference: the bytes stay where they are; their digests are recorded and checked at every use.",
    )
    description: Annotated[str, Field(max_length=8192)] | None = Field(
        default=None, description="What the data is."
    )
    license: Annotated[str, Field(max_length=128)] | None = Field(
        default=None, description="SPDX identifier, or other."
    )
    keywords: Annotated[list[Keyword], Field(max_length=64)] = Field(
        default=[], description="Words to find it by."
    )
    providers: Annotated[list[Provider], Field(max_length=16)] = Field(
        default=[], description="Who made and hosts it."
    )
    extent: Extent | None = Field(default=None, description="Where and when; default: the whole world, now.")

    rules = (
        Rule(
            "self.version != oldSelf.version || self.source == oldSelf.source",
            "changes only together with spec.version: a version already made never changes. Give the new data a new"
            " version.",
            field_path=".source",
            reason="FieldValueForbidden",
        ),
    )


class DatasetVersionStatus(Model):
    """A version that was made."""

    version: str = Field(description="Name of the version.", max_length=64)
    digest: str = Field(
        description="sha256 of its canonical list of (path, size, sha256): same bytes, same digest."
    )
    files: int = Field(description="How many files.", ge=0)
    size_bytes: int = Field(description="Size of all files, in bytes.", ge=0)
    revision: str | None = Field(default=None, description="What the source called it: the Git commit.")
    manifest: str = Field(description="Key of its manifest in the bucket.")
    created_at: Time = Field(description="When it was made.")
    item: str | None = Field(default=None, description="Key of its STAC item in the bucket.")


class SnapshotStatus(Model):
    """The snapshot Job of the version asked for."""

    number: int = Field(description="Number of the try, from 1.", ge=1)
    version: str = Field(description="Version that it makes.", max_length=64)
    job: str = Field(description="Name of the Job.")
    job_uid: str | None = Field(default=None, description="uid of the Job, once it is made.", alias="jobUID")
    start_time: Time | None = Field(default=None, description="When it was decided.")
    end_time: Time | None = Field(default=None, description="When it ended.")
    cause: str | None = Field(
        default=None, description="How it ended: Succeeded, or why it failed.", max_length=64
    )
    failures: int = Field(default=0, description="How many tries in a row have failed.", ge=0)


class TrainingDatasetStatus(Model):
    """The versions that were made."""

    observed_generation: int | None = Field(
        default=None, description="Generation that this status speaks of."
    )
    phase: DatasetPhase | None = Field(default=None, description="Where the dataset is, in one word.")
    reason: str | None = Field(default=None, description="Why it is there.", max_length=128)
    message: str | None = Field(default=None, description="The same for people.", max_length=4096)
    conditions: Conditions = Field(
        default=[], description="Snapshotted, Published; Ready, Reconciling, Stalled (kstatus)."
    )
    versions: Annotated[list[DatasetVersionStatus], Field(max_length=256)] = Field(
        default=[], description="Versions that were made, oldest first."
    )
    current: str | None = Field(default=None, description="Version that a run gets which names none.")
    snapshot: SnapshotStatus | None = Field(
        default=None, description="The snapshot under way, or the last one."
    )

    @computed_field(alias="files", description="How many files the current version has.")  # type: ignore[prop-decorator]
    @property
    def current_files(self) -> int | None:
        return version.files if (version := self.current_version) else None

    @computed_field(alias="sizeBytes", description="Size of the current version, in bytes.")  # type: ignore[prop-decorator]
    @property
    def current_size_bytes(self) -> int | None:
        return version.size_bytes if (version := self.current_version) else None

    @computed_field(alias="digest", description="Digest of the current version.")  # type: ignore[prop-decorator]
    @property
    def current_digest(self) -> str | None:
        return version.digest if (version := self.current_version) else None

    @property
    def current_version(self) -> DatasetVersionStatus | None:
        """The version that ``current`` names."""
        return next((version for version in self.versions if version.version == self.current), None)


class TrainingDataset(Model):
    """Versioned, digest-pinned training data."""

    api_version: str = ""
    kind: str = "TrainingDataset"
    metadata: ObjectMeta
    spec: TrainingDatasetSpec
    status: TrainingDatasetStatus = TrainingDatasetStatus()

    rules = (
        Rule(
            "self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && self.metadata.name.size() <= 40",
            "metadata.name: at most 40 characters: lower case letters, digits and - (the names of the Jobs and folders"
            " are made from it)",
        ),
    )

    @classmethod
    def from_object(cls, obj: dict[str, Any]) -> TrainingDataset:
        """From Kubernetes JSON. Raises pydantic.ValidationError where the CRD let something through."""
        return cls.model_validate(obj)
