"""Checkpoints of a run: what is kept of them while it trains, and from which one it goes on."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mlops_operator.api.base import ATOMIC, DnsLabel, Model, RelativePath, Time

SkippedText = Annotated[str, Field(max_length=512)]


class Checkpoints(Model):
    """How checkpoints are kept and taken up again.

    Each file or folder directly below the checkpoint folder is one checkpoint.
    """

    path: RelativePath | None = Field(
        default=None,
        description="The checkpoint folder, below the working directory; default: /mlops/output/checkpoints. The"
        " variable MLOPS_CHECKPOINT_DIR names it. Each file or folder directly below it is one checkpoint.",
    )
    sync_interval_seconds: Annotated[int, Field(ge=1, le=86400)] = Field(
        default=30,
        description="How often the folder is looked at while the code trains, in seconds. What is complete and new is"
        " uploaded.",
    )
    keep: Annotated[int, Field(ge=1, le=100)] = Field(
        default=2, description="How many checkpoints are kept in the bucket: the newest."
    )
    complete_markers: Annotated[list[RelativePath], Field(max_length=16)] = Field(
        default=[],
        description="Files that are written last into a checkpoint's folder, such as trainer_state.json: a folder that"
        " holds one is complete. Anything else is complete when it has not changed between two looks.",
    )
    resume: bool = Field(
        default=True,
        description="Whether a further attempt gets the newest checkpoint of this run back: it is put into the folder,"
        " and the variable MLOPS_RESUME_FROM is its path (empty where there is none).",
    )


class TrainingRunReference(Model):
    """Another run of the same namespace."""

    name: DnsLabel = Field(
        description="Name of the TrainingRun. Its resource may be gone: its checkpoints are found in the bucket. Of"
        " several runs of this name the one with the newest checkpoint."
    )


class ResumeFrom(Model):
    """Where the first attempt goes on from; exactly one of the members."""

    training_run: TrainingRunReference | None = Field(
        default=None, description="The newest checkpoint of another run of this namespace."
    )

    one_of = ("training_run",)


class ResolvedResume(Model):
    """The run that ``resumeFrom`` stands for."""

    training_run: str = Field(description="Name of the run.")
    uid: str = Field(description="uid of the run.")


class ResumedStatus(Model):
    """The checkpoint that an attempt went on from."""

    training_run: str = Field(description="Name of the run that wrote it.", max_length=253)
    uid: str = Field(description="uid of that run.", max_length=64)
    attempt: int = Field(description="Attempt of that run that wrote it.")
    name: str = Field(description="Name of the file or folder below the checkpoint folder.", max_length=255)
    step: int | None = Field(default=None, description="Step that its name tells.")
    digest: str = Field(description="Digest of its files: sha256:…", max_length=128)


class CheckpointStatus(Model):
    """The newest checkpoint in the bucket."""

    name: str = Field(description="Name of the file or folder below the checkpoint folder.", max_length=255)
    step: int | None = Field(default=None, description="Step that its name tells.")
    time: Time = Field(description="When it was complete in the bucket.")
    size_bytes: int = Field(description="Size of its files, in bytes.")
    uri: str = Field(description="Where it is: s3://bucket/mlops/runs/…/checkpoints/…/", max_length=1024)
    problems: Annotated[list[SkippedText], Field(max_length=8)] = Field(
        default=[],
        description="Checkpoints that could not be kept, and why.",
        json_schema_extra=ATOMIC,
    )
