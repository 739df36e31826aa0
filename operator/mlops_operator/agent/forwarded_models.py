"""Models that the code logged, on the remote MLflow server: their files, and what MLflow knows of them."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mlops_operator.agent.forwarded_runs import RunForwarder
from mlops_operator.agent.model_files import read_flavors
from mlops_operator.agent.remote_mlflow import Refused, RemoteMlflow

_MLMODEL = "MLmodel"
_ARTIFACTS_SCHEME = "mlflow-artifacts"
_NO_SUCH_CALL = (404, 405)
# SharingHub: the id of the project in GitLab, at the end of every name.
_SUFFIX = re.compile(r" \(\d+\)$")


@dataclass
class RemoteModels:
    """What is known of the remote side; written down after each step."""

    ids: dict[str, str] = field(default_factory=dict)  # ours: theirs, of logged models (MLflow 3)
    uris: dict[str, str] = field(default_factory=dict)  # folder in the pod: artifact URI there


class ModelForwarder:
    """Brings models to the server once they are ready.

    Parameters
    ----------
    experiment
        Name of the experiment there: names of registered models get the suffix that it has.
    """

    def __init__(
        self, remote: RemoteMlflow, runs: RunForwarder, experiment: str, warn: Callable[[str], None]
    ) -> None:
        self._remote = remote
        self._runs = runs
        self._warn = warn
        suffix = _SUFFIX.search(experiment)
        self._suffix = suffix[0] if suffix else ""
        self.known = RemoteModels()

    def model(self, record: dict[str, Any]) -> None:
        """Forward a model by its record in the journal."""
        folder = Path(record["folder"])
        ready = record["status"] == "LOGGED_MODEL_READY" and (folder / _MLMODEL).is_file()
        if not ready or str(folder) in self.known.uris:
            return
        self.known.uris[str(folder)] = self._as_logged_model(record, folder) or self._as_artifact(
            record, folder
        )

    def registration(self, record: dict[str, Any]) -> None:
        """Register a version whose files were forwarded."""
        source = self._source(record["source"])
        if not record["source"]:
            return
        if source is None:
            self._warn(
                f"the registration of {record['registered']} is not forwarded: its files are not there"
            )
            return
        name = record["registered"]
        name = name if name.endswith(self._suffix) else f"{name}{self._suffix}"
        try:
            self._remote.call("POST", "registered-models/create", {"name": name})
        except Refused as error:
            if error.code != "RESOURCE_ALREADY_EXISTS":
                raise
        body = {"name": name, "source": source}
        if record["of"]:
            body["run_id"] = self._runs.run(record["of"])
        if model_id := self.known.ids.get(record["id"]):
            body["model_id"] = model_id
        self._remote.call("POST", "model-versions/create", body)

    def _source(self, source: str) -> str | None:
        if source.startswith("models:/"):
            remote = self.known.ids.get(source.removeprefix("models:/"))
            return f"models:/{remote}" if remote else None
        return self.known.uris.get(urlsplit(source).path.rstrip("/"))

    # --- MLflow 3 ---------------------------------------------------------------------------------------------

    def _as_logged_model(self, record: dict[str, Any], folder: Path) -> str | None:
        """Make it a logged model; None where the server knows none (MLflow 2)."""
        body: dict[str, Any] = {
            "experiment_id": self._runs.find_experiment(),
            "name": record["name"],
            "model_type": record["type"],
            "params": _pairs(record["params"]),
            "tags": _pairs(record["tags"]),
        }
        run_id = self._runs.run(record["of"]) if record["of"] else None
        if run_id:
            body["source_run_id"] = run_id
        try:
            info = self._remote.call("POST", "logged-models", body)["model"]["info"]
        except Refused as error:
            if error.status in _NO_SUCH_CALL and error.code in ("", "ENDPOINT_NOT_FOUND", "NOT_MLFLOW"):
                return None
            raise
        model_id, uri = str(info["model_id"]), str(info["artifact_uri"])
        self._upload(folder, uri, self._replacements(record, model_id))
        status = {"model_id": model_id, "status": "LOGGED_MODEL_READY"}
        self._remote.call("PATCH", f"logged-models/{model_id}", status)
        if run_id:
            link = {"run_id": run_id, "models": [{"model_id": model_id, "step": 0}]}
            self._remote.call("POST", "runs/outputs", link)
        self.known.ids[record["model"]] = model_id
        return uri

    # --- MLflow 2 ---------------------------------------------------------------------------------------------

    def _as_artifact(self, record: dict[str, Any], folder: Path) -> str:
        """Make it an artifact of its run, with the tag that lists a run's models."""
        run_id = self._runs.run(record["of"])
        uri = f"{self._runs.known.artifacts[run_id].rstrip('/')}/{record['name']}"
        self._upload(folder, uri, self._replacements(record, None))
        model = {
            "artifact_path": record["name"],
            "run_id": run_id,
            "model_uuid": record["model"].removeprefix("m-"),
            "utc_time_created": f"{datetime.fromtimestamp(record['at'] / 1000, UTC):%Y-%m-%d %H:%M:%S.%f}",
            "flavors": read_flavors(folder / _MLMODEL),
        }
        self._remote.call("POST", "runs/log-model", {"run_id": run_id, "model_json": json.dumps(model)})
        return uri

    # --- files ------------------------------------------------------------------------------------------------

    def _replacements(self, record: dict[str, Any], model_id: str | None) -> dict[str, str]:
        """Ids in the MLmodel file that are others there."""
        found = {record["of"]: self._runs.run(record["of"])} if record["of"] else {}
        return found | ({record["model"]: model_id} if model_id else {})

    def _upload(self, folder: Path, uri: str, replacements: dict[str, str]) -> None:
        parts = urlsplit(uri)
        if parts.scheme != _ARTIFACTS_SCHEME:
            self._warn(
                f"the files of the model {folder.name} are not forwarded: {self._remote.uri} keeps artifacts at"
                f" {parts.scheme}://, where only clients with credentials of that store write. Start it with"
                " --artifacts-destination, so that it takes them itself; they are in the run's bucket"
            )
            return
        for file in _files(folder):
            target = f"{parts.path.rstrip('/')}/{file.relative_to(folder).as_posix()}"
            if file.name != _MLMODEL:
                self._remote.upload(target, file)
                continue
            text = file.read_text(encoding="utf-8", errors="replace")
            for ours, theirs in replacements.items():
                text = text.replace(ours, theirs)
            with tempfile.NamedTemporaryFile("w", encoding="utf-8") as rewritten:
                rewritten.write(text)
                rewritten.flush()
                self._remote.upload(target, Path(rewritten.name))


def _files(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _pairs(values: dict[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]
