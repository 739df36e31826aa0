"""What the kinds share: the model base, Kubernetes' common types, names of labels."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

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
    """A CEL rule of an object in the CRD, and what its refusal says.

    Attributes
    ----------
    rule
        The expression; ``self`` is the object, ``oldSelf`` what it was before a change.
    message
        What is wrong and what to do. The API server puts the path of the object, and ``field_path``, before it.
    field_path
        The member that is wrong, such as ``.image``; default: the object itself.
    reason
        How the API server calls the refusal, such as ``FieldValueForbidden``.
    """

    rule: str
    message: str
    field_path: str | None = None
    reason: Literal["FieldValueInvalid", "FieldValueForbidden", "FieldValueRequired"] | None = None

    def to_schema(self) -> dict[str, str]:
        """As an entry of ``x-kubernetes-validations``."""
        schema = {"rule": self.rule, "message": self.message}
        if self.field_path is not None:
            schema["fieldPath"] = self.field_path
        if self.reason is not None:
            schema["reason"] = self.reason
        return schema


def fixed(*fields: str, advice: str, untyped: tuple[str, ...] = ()) -> tuple[Rule, ...]:
    """Give rules that refuse a change of each of these members (names as in YAML), and say what to do instead.

    One rule a member: so the refusal names it. Members whose values have no single type (``untyped``) are no fields
    to CEL's type checker, so they are compared by ``dyn``.
    """
    return tuple(_fixed(field, "self", "oldSelf", advice) for field in fields) + tuple(
        _fixed(field, "dyn(self)", "dyn(oldSelf)", advice) for field in untyped
    )


def _fixed(field: str, new: str, old: str, advice: str) -> Rule:
    return Rule(
        f"has({new}.{field}) == has({old}.{field}) && (!has({new}.{field}) || {new}.{field} == {old}.{field})",
        f"cannot be changed: {advice}",
        field_path=f".{field}",
        reason="FieldValueForbidden",
    )


class Model(BaseModel):
    """Base of every type here: snake_case in Python, camelCase in YAML; unknown fields are ignored.

    The API server refuses unknown fields before we see them; ignoring them here lets an older operator read
    what a newer one wrote.
    """

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True, use_enum_values=True
    )
    rules: ClassVar[tuple[Rule, ...]] = ()
    # Optional members (names as in Python) of which exactly one is given.
    one_of: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if self.one_of and sum(getattr(self, name) is not None for name in self.one_of) != 1:
            raise ValueError(self._one_of_message())
        return self

    @classmethod
    def _one_of_message(cls) -> str:
        names = [to_camel(name) for name in cls.one_of]
        return f"give {names[0]}" if len(names) == 1 else f"give exactly one of {', '.join(names)}"

    @classmethod
    def _all_rules(cls) -> tuple[Rule, ...]:
        if not cls.one_of:
            return cls.rules
        given = ", ".join(f"has(self.{to_camel(name)})" for name in cls.one_of)
        return (Rule(f"[{given}].filter(x, x).size() == 1", cls._one_of_message()), *cls.rules)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Pydantic's hook: the rules go where the CRD wants them."""
        schema = handler(core_schema)
        rules = cls._all_rules()
        if rules:
            handler.resolve_ref_schema(schema)["x-kubernetes-validations"] = [r.to_schema() for r in rules]
        return schema

    def to_object(self) -> dict[str, object]:
        """As Kubernetes JSON: camelCase, without what is not set."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def _rfc3339(value: datetime) -> str:
    return value.astimezone(UTC).replace(microsecond=0).strftime("%Y-%m-%dT%H:%M:%SZ")


def _rfc3339_precise(value: datetime) -> str:
    if value.microsecond == 0:
        return _rfc3339(value)
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# Whole seconds in UTC, as Kubernetes writes times.
Time = Annotated[
    datetime,
    PlainSerializer(_rfc3339, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
# With its milliseconds, where it has any.
PreciseTime = Annotated[
    datetime,
    PlainSerializer(_rfc3339_precise, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
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
# As Kubernetes writes amounts of a resource: 500m, 2, 4Gi. A fraction is a string: "0.5".
Quantity = (
    Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$", max_length=32)]
    | Annotated[int, Field(ge=0)]
)
# A path below a folder: relative, and no way out of it. Globs are allowed where the field says so.
RelativePath = Annotated[
    str,
    Field(min_length=1, max_length=512, pattern=r"^(\./)*\.?[^/.\n][^/\n]*(/\.?[^/.\n][^/\n]*)*/?$"),
]


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


# One entry a type, so that several writers can each apply their own.
Conditions = Annotated[
    list[Condition],
    Field(
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    ),
]


def keyed_by(*keys: str) -> dict[str, Any]:
    """``json_schema_extra`` of a list whose entries differ in these members: the API server refuses doubles."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


# json_schema_extra of a list that is written as a whole: a figure that is dropped is gone, and the bookkeeping of
# who wrote what stays small.
ATOMIC: dict[str, Any] = {"x-kubernetes-list-type": "atomic"}


class SecretRef(Model):
    """A Secret of the same namespace."""

    name: DnsSubdomain = Field(description="Name of a Secret in this namespace.")


class LocalObjectReference(Model):
    """An object of the same namespace."""

    name: DnsSubdomain = Field(description="Name of an object in this namespace.")
