"""Models and their versions: from the cluster, or from their manifests in the bucket."""

from __future__ import annotations

from typing import Any

from mlops_operator.api.wire import ModelManifest
from mlops_operator.cli.runs import Place
from mlops_operator.storage.documents import read_document
from mlops_operator.storage.layout import MODELS_PREFIX, model_manifest_key, model_prefix, uri


def model_versions(place: Place, model: str | None) -> list[dict[str, Any]]:
    """Give model, version, phase, run, digest and address of each, of one model or of all."""
    if place.cluster is not None:
        rows = [_of_resource(version) for version in place.cluster.models()]
        return [row for row in rows if model in (None, row["model"])]
    names = [model] if model else sorted(place.bucket.list_folders(MODELS_PREFIX))
    return [row for name in names for row in _of_bucket(place, name)]


def _of_resource(version: dict[str, Any]) -> dict[str, Any]:
    spec, status = version["spec"], version.get("status") or {}
    return {
        "model": spec["model"],
        "version": status.get("version") or spec.get("version"),
        "phase": status.get("phase"),
        "run": ((spec.get("source") or {}).get("trainingRun") or {}).get("name"),
        "digest": status.get("digest"),
        "uri": status.get("uri"),
    }


def _of_bucket(place: Place, model: str) -> list[dict[str, Any]]:
    rows = []
    for version in sorted(place.bucket.list_folders(model_prefix(model)), key=lambda text: (len(text), text)):
        found = read_document(place.bucket, model_manifest_key(model, version), ModelManifest)
        if found is not None:
            manifest = found[0]
            rows.append(
                {
                    "model": model,
                    "version": version,
                    "phase": "Ready",
                    "run": manifest.run.name,
                    "digest": manifest.digest,
                    "uri": uri(place.bucket.name, f"{model_prefix(model)}{version}/"),
                }
            )
    return rows
