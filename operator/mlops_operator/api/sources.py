"""Where code and data come from; shared by runs and datasets."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mlops_operator.api.base import Model, RelativePath, Rule, SecretRef


class GitSource(Model):
    """A Git repository over HTTPS (or HTTP, where the platform has no other)."""

    url: Annotated[str, Field(pattern=r"^https?://[^\s@]+$", min_length=8, max_length=2048)] = Field(
        description="Address of the repository, without credentials: https://git.example.org/alice/landcover.git"
    )
    ref: Annotated[str, Field(pattern=r"^[A-Za-z0-9][-A-Za-z0-9._/+]*$", min_length=1, max_length=255)] = (
        Field(
            default="HEAD",
            description="Branch, tag or full commit (40 hexadecimal digits). It is resolved once, and the commit is"
            " written to the status. An abbreviated commit is refused: servers do not resolve it.",
        )
    )
    path: RelativePath | None = Field(
        default=None, description="Folder in the repository that is used; default: all of it."
    )
    lfs: bool = Field(
        default=True,
        description="Whether files kept in Git LFS are fetched. If not, their pointers are used as they are.",
    )
    credentials_secret_ref: SecretRef | None = Field(
        default=None,
        description="Secret with the keys username and password (a token is a password). Used only for the host of the url.",
    )


class InlineSource(Model):
    """Files written into the manifest itself."""

    files: Annotated[
        dict[
            Annotated[str, Field(max_length=255)],
            Annotated[str, Field(max_length=32768)],
        ],
        Field(min_length=1, max_length=64),
    ] = Field(
        description="Path of each file, relative to the working directory, and its text. At most 32 KiB in all."
    )

    rules = (
        Rule(
            "self.files.all(f, f.matches('^[A-Za-z0-9_.-][A-Za-z0-9_./-]*$') && !f.contains('..'))",
            "a path is relative, of letters, digits and _ . - /, and does not contain '..'",
            field_path=".files",
        ),
        Rule(
            "self.files.map(f, size(self.files[f])).sum() <= 32768",
            "more than 32 KiB in all; keep larger code in Git (spec.source.git)",
            field_path=".files",
        ),
    )
