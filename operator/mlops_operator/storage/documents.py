"""Documents of the bucket: JSON of one of our types under a key."""

from __future__ import annotations

from typing import TypeVar

from pydantic import ValidationError

from mlops_operator.api.base import Model
from mlops_operator.errors import AlreadyExists, IntegrityError, ObjectNotFound
from mlops_operator.storage.digest import canonical_json, document_digest
from mlops_operator.storage.objects import Objects

_Document = TypeVar("_Document", bound=Model)


def encode(document: Model) -> bytes:
    """Give the canonical JSON of a document: what is not set is left out."""
    return canonical_json(document.to_object())


def read_document(bucket: Objects, key: str, kind: type[_Document]) -> tuple[_Document, str] | None:
    """Read a document and the digest of its bytes (``sha256:…``); None where there is none.

    Raises
    ------
    IntegrityError
        It is not a document of this kind.
    """
    try:
        data = bucket.get_bytes(key)
    except ObjectNotFound:
        return None
    try:
        return kind.model_validate_json(data), document_digest(data)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, problem["loc"])) or "its beginning"
        raise IntegrityError(
            f"s3://{bucket.name}/{key} is not a {kind.__name__}: {where}: {problem['msg']}"
        ) from error


def write_document_once(bucket: Objects, key: str, document: Model) -> str:
    """Write a document that is never replaced, and give the digest of its bytes; the same bytes again are fine.

    Raises
    ------
    AlreadyExists
        Another document stands there.
    """
    data = encode(document)
    try:
        bucket.put_once(key, data)
    except AlreadyExists:
        if bucket.get_bytes(key) != data:
            raise
    return document_digest(data)
