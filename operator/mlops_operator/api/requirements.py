"""Python packages that a run adds to its image."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mlops_operator.api.base import Model, RelativePath

# As on a line of a requirements file, but no option of pip's.
Requirement = Annotated[str, Field(min_length=1, max_length=512, pattern=r"^[^-\s][^\r\n]*$")]


class Requirements(Model):
    """Packages that the image's own pip installs before the command starts; exactly one of the members."""

    file: RelativePath | None = Field(
        default=None,
        description="A requirements file of the source, such as requirements.txt; paths in it are relative to the source.",
    )
    packages: Annotated[list[Requirement], Field(min_length=1, max_length=64)] | None = Field(
        default=None, description='The packages, such as ["lightning==2.5.*", "torchmetrics"].'
    )

    one_of = ("file", "packages")
