"""Validation of STAC objects without a network: pystac with the cached schemas, and ml-model by our own rules."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pystac
from jsonschema import Draft7Validator
from pystac.stac_io import DefaultStacIO
from pystac.validation import set_validator
from pystac.validation.stac_validator import JsonSchemaSTACValidator

from hack import schemas

ML_MODEL = "https://stac-extensions.github.io/ml-model/v1.0.0/schema.json"
# Written from the text of the extension's specification.
ML_MODEL_RULES: dict[str, Any] = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "$id": ML_MODEL,
    "type": "object",
    "required": ["properties", "assets"],
    "properties": {
        "properties": {
            "required": [
                "ml-model:type",
                "ml-model:learning_approach",
                "ml-model:prediction_type",
                "ml-model:architecture",
            ],
            "properties": {
                "ml-model:type": {"const": "ml-model"},
                "ml-model:learning_approach": {"type": "string"},
                "ml-model:prediction_type": {"type": "string"},
                "ml-model:architecture": {"type": "string"},
                "ml-model:training-os": {"type": "string"},
                "ml-model:training-processor-type": {"enum": ["cpu", "gpu"]},
            },
            "patternProperties": {"^(?!ml-model:)": {}},
            "additionalProperties": False,
        },
        "assets": {"additionalProperties": {"patternProperties": {"^ml-model:": False}}},
    },
}


class OfflineStacIO(DefaultStacIO):
    """Schemas from the cache, everything else by ``read`` (a key of a bucket), nothing from the network."""

    def __init__(self, read: Callable[[str], bytes] | None = None) -> None:
        super().__init__()
        self._read = read
        self._schemas = {schemas.address(name): schemas.path(name) for name in schemas.every()}

    def read_text(self, source: Any, *_args: Any, **_kwargs: Any) -> str:
        href = str(source.href if isinstance(source, pystac.Link) else source)
        if href in self._schemas:
            return self._schemas[href].read_text(encoding="utf-8")
        if href == ML_MODEL:
            return json.dumps(ML_MODEL_RULES)
        found = re.fullmatch(r"s3://[^/]+/(.+)", href)
        if found is None or self._read is None:
            raise OSError(f"{href} would be asked from the network")
        return self._read(found.group(1)).decode("utf-8")


def use_offline(read: Callable[[str], bytes] | None = None) -> OfflineStacIO:
    """Let pystac read everything offline, and forget what it had read."""
    io = OfflineStacIO(read)
    pystac.StacIO.set_default(lambda: io)
    set_validator(JsonSchemaSTACValidator())
    return io


def validate_item(item: dict[str, Any]) -> list[str]:
    """Validate an item by core, its extensions, and the published ml-model where it is at hand.

    Returns
    -------
    list of str
        The schemas that it was validated against.

    Raises
    ------
    pystac.errors.STACValidationError
        It is not valid; the message says where.
    """
    use_offline()
    used = pystac.Item.from_dict(item).validate()
    published = os.environ.get("MLOPS_SCHEMA_DIR")
    if published and ML_MODEL in item["stac_extensions"]:
        schema = json.loads((Path(published) / "ml-model-v1.0.0.json").read_text(encoding="utf-8"))
        Draft7Validator(schema).validate(item)
    return [str(schema) for schema in used]
