"""What the kinds share: the model base, Kubernetes' common types, names of labels."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer
from pydantic.alias_generators import to_camel

GROUP = "mlops.eoepca.org"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
FIELD_MANAGER = "mlops-operator"

# Labels of the Jobs and pods that the operator makes; the owner is named by kind, name and uid.
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
LABEL_OWNER_KIND = f"{GROUP}/owner-kind"
LABEL_OWNER_NAME = f"{GROUP}/owner-name"
LABEL_OWNER_UID = f"{GROUP}/owner-uid"
LABEL_ATTEMPT = f"{GROUP}/attempt"

# The token of the progress endpoint is bound to this audience.
PROGRESS_AUDIENCE = "mlops-operator"


@dataclass(frozen=True)
class Rule:
    """A CEL rule of an object in the CRD, and what its refusal says."""

    rule: str
    message: str


class Model(BaseModel):
    """Base of every type here: snake_case in Python, camelCase in YAML; unknown fields are ignored.

    The API server refuses unknown fields before we see them; ignoring them here lets an older operator read
    what a newer one wrote.
    """

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True, use_enum_values=True
    )
    rules: ClassVar[tuple[Rule, ...]] = ()

    def to_object(self) -> dict[str, object]:
        """As Kubernetes JSON: camelCase, without what is not set."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def _rfc3339(value: datetime) -> str:
    return value.astimezone(UTC).replace(microsecond=0).strftime("%Y-%m-%dT%H:%M:%SZ")


# Whole seconds in UTC, as Kubernetes writes times.
Time = Annotated[datetime, PlainSerializer(_rfc3339, return_type=str, when_used="json")]
Scalar = bool | int | float | Annotated[str, Field(max_length=1024)]

DnsLabel = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
DnsSubdomain = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    ),
]
Quantity = Annotated[
    str | int, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$", max_length=32)
]
# A path below a folder: relative, and no way out of it. Globs are allowed where the field says so.
RelativePath = Annotated[str, Field(min_length=1, max_length=512, pattern=r"^[^/].*$")]


class ObjectMeta(Model):
    """The part of a resource's metadata that the operator reads."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    creation_timestamp: Time | None = None
    deletion_timestamp: Time | None = None
    finalizers: list[str] = []


class Condition(Model):
    """A condition as in KEP-1623."""

    type: str = Field(description="Name of the condition.", max_length=64)
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    reason: str = Field(default="", description="One word, for programs.", max_length=128)
    message: str = Field(
        default="", description="A sentence, for people: what happened and what to do.", max_length=4096
    )
    last_transition_time: Time = Field(description="When the status last changed.")
    observed_generation: int | None = Field(
        default=None, description="The generation of the resource that this condition speaks of.", ge=0
    )


class SecretRef(Model):
    """A Secret of the same namespace."""

    name: DnsSubdomain = Field(description="Name of a Secret in this namespace.")


class LocalObjectReference(Model):
    name: DnsSubdomain = Field(description="Name of an object in this namespace.")
