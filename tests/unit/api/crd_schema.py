"""The schema of a CRD as jsonschema understands it, for judging manifests without a server."""

from __future__ import annotations

from typing import Any

from jsonschema import Draft202012Validator

from mlops_operator.api.crd import KINDS, definition

MODELS = {kind.name: kind.model for kind in KINDS}
SCHEMAS: dict[str, dict[str, Any]] = {
    kind.name: definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"] for kind in KINDS
}


def _as_json_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Say int-or-string in words of JSON schema; everything else has the same meaning there."""
    result = dict(schema)
    if result.pop("x-kubernetes-int-or-string", False):
        result["type"] = ["integer", "string"]
    for key in ("items", "additionalProperties"):
        if key in result:
            result[key] = _as_json_schema(result[key])
    if "properties" in result:
        result["properties"] = {
            name: _as_json_schema(member) for name, member in result["properties"].items()
        }
    return result


VALIDATORS = {name: Draft202012Validator(_as_json_schema(schema)) for name, schema in SCHEMAS.items()}


def paths_refused(manifest: dict[str, Any]) -> list[str]:
    """Give the paths of what the schema refuses, as the API server writes them."""
    refused = []
    for error in VALIDATORS[manifest["kind"]].iter_errors(manifest):
        path = "".join(
            f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path
        ).lstrip(".")
        if error.validator == "required":
            missing = next(name for name in error.validator_value if name not in error.instance)
            path = f"{path}.{missing}"
        refused.append(path)
    return refused
