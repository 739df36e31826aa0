"""MLflow's model registry, as far as code that trains calls it.

What the code registers is kept with the run, and forwarded where a remote server is named. In the workspace a model is
registered by a ModelVersion (spec.outputs.model). Stages, aliases and descriptions last as long as the sidecar.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from mlops_operator.agent.mlflow_errors import ApiError, missing
from mlops_operator.agent.tracking import Registration, Tracking

Json = dict[str, Any]
_NAME_FILTER = re.compile(r"name\s*(?:=|LIKE|ILIKE)\s*'([^']*)'", re.IGNORECASE)
_ALIAS_KEY = "alias"


class Registry:
    """Answers the calls below ``registered-models/`` and ``model-versions/``."""

    def __init__(self, tracking: Tracking) -> None:
        self._tracking = tracking
        # What is set later on, by (model,) or (model, version).
        self._set: dict[tuple[str, ...], Json] = {}

    def routes(self) -> dict[tuple[str, str], Callable[[Json], Json]]:
        models, versions = "registered-models", "model-versions"
        return {
            ("POST", f"{models}/create"): self._create_model,
            ("GET", f"{models}/get"): lambda query: {"registered_model": self._model(query["name"])},
            ("GET", f"{models}/search"): self._search_models,
            ("PATCH", f"{models}/update"): self._update_model,
            ("POST", f"{models}/set-tag"): self._set_model_tag,
            ("DELETE", f"{models}/delete-tag"): self._delete_model_tag,
            ("POST", f"{models}/get-latest-versions"): self._latest,
            ("GET", f"{models}/get-latest-versions"): self._latest,
            ("POST", f"{models}/alias"): self._set_alias,
            ("DELETE", f"{models}/alias"): self._delete_alias,
            ("GET", f"{models}/alias"): self._by_alias,
            ("POST", f"{versions}/create"): self._create_version,
            ("GET", f"{versions}/get"): lambda query: {"model_version": self._version(query)},
            ("GET", f"{versions}/search"): self._search_versions,
            ("PATCH", f"{versions}/update"): self._update_version,
            ("POST", f"{versions}/transition-stage"): self._update_version,
            ("POST", f"{versions}/set-tag"): self._set_version_tag,
            ("DELETE", f"{versions}/delete-tag"): self._delete_version_tag,
            ("GET", f"{versions}/get-download-uri"): self._download_uri,
        }

    # --- models -----------------------------------------------------------------------------------------------

    def _create_model(self, body: Json) -> Json:
        name = str(body["name"])
        if name in self._tracking.registered:
            raise ApiError(400, "RESOURCE_ALREADY_EXISTS", f"Registered Model (name={name}) already exists.")
        self._tracking.register_model(name)
        self._set[name,] = {"tags": _pairs(body), "description": str(body.get("description") or "")}
        return {"registered_model": self._model(name)}

    def _model(self, name: object) -> Json:
        name = str(name)
        if name not in self._tracking.registered:
            raise ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"Registered Model with name={name} not found")
        known = self._set.get((name,), {})
        versions = self._tracking.registered[name]
        return {
            "name": name,
            "description": known.get("description", ""),
            "tags": _as_list(known.get("tags", {})),
            "aliases": [
                {"alias": alias, "version": version} for alias, version in known.get("aliases", {}).items()
            ],
            "latest_versions": [self._as_version(version) for version in versions[-1:]],
            "creation_timestamp": versions[0].at_ms if versions else 0,
            "last_updated_timestamp": versions[-1].at_ms if versions else 0,
        }

    def _search_models(self, query: Json) -> Json:
        wanted = _NAME_FILTER.search(str(query.get("filter") or ""))
        names = [name for name in self._tracking.registered if wanted is None or wanted[1].strip("%") in name]
        return {"registered_models": [self._model(name) for name in names]}

    def _update_model(self, body: Json) -> Json:
        self._model(body["name"])
        self._known(body["name"])["description"] = str(body.get("description") or "")
        return {"registered_model": self._model(body["name"])}

    def _set_model_tag(self, body: Json) -> Json:
        self._model(body["name"])
        self._known(body["name"]).setdefault("tags", {})[str(body["key"])] = str(body.get("value", ""))
        return {}

    def _delete_model_tag(self, body: Json) -> Json:
        self._known(body["name"]).get("tags", {}).pop(str(body["key"]), None)
        return {}

    def _latest(self, body: Json) -> Json:
        return {"model_versions": self._model(body["name"])["latest_versions"]}

    def _set_alias(self, body: Json) -> Json:
        self._version(body)
        aliases = self._known(body["name"]).setdefault("aliases", {})
        aliases[str(body[_ALIAS_KEY])] = str(body["version"])
        return {}

    def _delete_alias(self, body: Json) -> Json:
        self._known(body["name"]).get("aliases", {}).pop(str(body[_ALIAS_KEY]), None)
        return {}

    def _by_alias(self, query: Json) -> Json:
        aliases = self._known(query["name"]).get("aliases", {})
        if query[_ALIAS_KEY] not in aliases:
            raise missing(f"alias {query[_ALIAS_KEY]} of {query['name']}")
        return {
            "model_version": self._version({"name": query["name"], "version": aliases[query[_ALIAS_KEY]]})
        }

    # --- versions ---------------------------------------------------------------------------------------------

    def _create_version(self, body: Json) -> Json:
        name = str(body["name"])
        version = self._tracking.register(
            name,
            str(body.get("source") or ""),
            str(body.get("run_id") or ""),
            str(body.get("model_id") or ""),
        )
        self._set[name, version.version] = {
            "tags": _pairs(body),
            "description": str(body.get("description") or ""),
        }
        self._tracking.warn(
            f"the code registers the model {name} in MLflow: in the workspace that stays in the run; a ModelVersion is"
            " what registers it (spec.outputs.model)"
        )
        return {"model_version": self._as_version(version)}

    def _found(self, body: Json) -> Registration:
        for version in self._tracking.registered.get(str(body["name"]), []):
            if version.version == str(body["version"]):
                return version
        raise missing(f"version {body['version']} of the model {body['name']}")

    def _version(self, body: Json) -> Json:
        return self._as_version(self._found(body))

    def _as_version(self, version: Registration) -> Json:
        known = self._set.get((version.name, version.version), {})
        aliases = self._set.get((version.name,), {}).get("aliases", {})
        answer = {
            "name": version.name,
            "version": version.version,
            "creation_timestamp": version.at_ms,
            "last_updated_timestamp": version.at_ms,
            "current_stage": known.get("stage", "None"),
            "description": known.get("description", ""),
            "source": version.source,
            "run_id": version.run_id,
            "status": "READY",
            "tags": _as_list(known.get("tags", {})),
            "aliases": [alias for alias, number in aliases.items() if number == version.version],
        }
        return answer | ({"model_id": version.model_id} if version.model_id else {})

    def _search_versions(self, query: Json) -> Json:
        wanted = _NAME_FILTER.search(str(query.get("filter") or ""))
        found = [
            self._as_version(version)
            for name, versions in self._tracking.registered.items()
            for version in reversed(versions)
            if wanted is None or wanted[1] == name
        ]
        return {"model_versions": found}

    def _update_version(self, body: Json) -> Json:
        self._found(body)
        known = self._known(body["name"], str(body["version"]))
        for key in ("description", "stage"):
            if key in body:
                known[key] = str(body[key])
        return {"model_version": self._version(body)}

    def _set_version_tag(self, body: Json) -> Json:
        self._found(body)
        tags = self._known(body["name"], str(body["version"])).setdefault("tags", {})
        tags[str(body["key"])] = str(body.get("value", ""))
        return {}

    def _delete_version_tag(self, body: Json) -> Json:
        self._known(body["name"], str(body["version"])).get("tags", {}).pop(str(body["key"]), None)
        return {}

    def _download_uri(self, query: Json) -> Json:
        version = self._found(query)
        model = self._tracking.logged_models.get(version.model_id)
        return {"artifact_uri": model.folder.as_uri() if model is not None else version.source}

    def _known(self, *key: str) -> Json:
        return self._set.setdefault(tuple(map(str, key)), {})


def _pairs(body: Json) -> dict[str, str]:
    return {str(tag["key"]): str(tag.get("value", "")) for tag in body.get("tags") or []}


def _as_list(values: dict[str, str]) -> list[Json]:
    return [{"key": key, "value": value} for key, value in values.items()]
