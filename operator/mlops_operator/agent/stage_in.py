"""``stage-in``: everything that the training needs, in place and checked, before it starts."""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from mlops_operator.agent import __version__
from mlops_operator.agent.buckets import open_workspace
from mlops_operator.agent.datasets import fetch_dataset
from mlops_operator.agent.git import clone_code, empty
from mlops_operator.agent.places import Places, write_whole
from mlops_operator.agent.requirements import prepare
from mlops_operator.agent.restore import Restored, restore
from mlops_operator.agent.space import check_space
from mlops_operator.api.wire import (
    BIN_DIR,
    CHECKPOINT_DIR,
    GIT_CREDENTIALS_DIR,
    MODEL_DIR,
    PARAMS_FILE,
    STAGED_FILE,
    TENSORBOARD_DIR,
    VARIABLES_FILE,
    StagedReport,
    StageInOrder,
)
from mlops_operator.errors import AlreadyExists
from mlops_operator.storage.client import Bucket
from mlops_operator.storage.layout import relative_path, run_manifest_key, run_params_key, run_record_key

_log = logging.getLogger(__name__)
_PATIENCE_SECONDS = 60.0
_ENTRYPOINT = Path("/usr/local/bin/entrypoint")


def stage_in(order: StageInOrder, places: Places, entrypoint: Path = _ENTRYPOINT) -> StagedReport | None:
    """Stage a run. Gives None where its training has ended already: the results in the pod are not touched.

    Raises
    ------
    AlreadyExists
        The run has its results already.
    SourceNotFound, DatasetChanged, StorageError, CredentialsError, OSError
        See `mlops_operator.agent.git` and `mlops_operator.agent.datasets`.
    """
    if (places.run / "done.json").exists():
        _log.info("the training of this pod has ended already: nothing is staged")
        return None
    seconds: dict[str, float] = {}
    commit: str | None = None
    restored = Restored()
    requirements_key: str | None = None

    def timed(name: str, work: Callable[[], None]) -> None:
        started = time.monotonic()
        work()
        seconds[name] = round(time.monotonic() - started, 3)

    def fetch_code() -> None:
        nonlocal commit
        commit = _fetch_code(order, places)

    def prepare_requirements() -> None:
        nonlocal requirements_key
        requirements_key = prepare(order.requirements, places, bucket)

    def fetch_datasets() -> None:
        check_space(order.datasets, order.disk_limit_bytes, bucket, places)
        for dataset in order.datasets:
            fetch_dataset(dataset, bucket, order.bucket, places)

    def restore_checkpoint() -> None:
        nonlocal restored
        if order.checkpoints is not None:
            restored = restore(order.checkpoints, order.run, bucket, places)
        variables = {"MLOPS_RESUME_FROM": restored.path}
        write_whole(places.path(VARIABLES_FILE), json.dumps(variables).encode())

    bucket = open_workspace(places, order.bucket, patience_seconds=_PATIENCE_SECONDS)
    timed("entrypoint", lambda: _place_entrypoint(places, entrypoint))
    for folder in (MODEL_DIR, CHECKPOINT_DIR, TENSORBOARD_DIR):  # scripts write there without making them
        places.path(folder).mkdir(parents=True, exist_ok=True)
    timed("check", lambda: _refuse_finished(order, bucket))
    timed("code", fetch_code)
    timed("requirements", prepare_requirements)
    timed("datasets", fetch_datasets)
    timed("checkpoint", restore_checkpoint)
    timed("record", lambda: _record(order, places, bucket, commit, restored))
    report = StagedReport(
        commit=commit,
        datasets=order.datasets,
        requirements_key=requirements_key,
        resumed=restored.resumed,
        skipped_checkpoints=restored.skipped,
        seconds=seconds,
    )
    write_whole(places.path(STAGED_FILE), report.model_dump_json(by_alias=True).encode())
    _log.info("staged: %s", seconds)
    return report


def _place_entrypoint(places: Places, entrypoint: Path) -> None:
    target = places.path(BIN_DIR) / "entrypoint"
    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside, then renamed: a program that runs cannot be written to.
    temporary = target.with_name(".entrypoint.tmp")
    shutil.copyfile(entrypoint, temporary)
    temporary.chmod(0o755)
    temporary.replace(target)


def _refuse_finished(order: StageInOrder, bucket: Bucket) -> None:
    key = run_manifest_key(order.run)
    if bucket.head(key) is not None:
        raise AlreadyExists(
            f"run {order.run.name} (uid {order.run.uid}) has its results already: {key} is in the bucket; it is not"
            " trained again"
        )


def _fetch_code(order: StageInOrder, places: Places) -> str | None:
    if order.git is not None:
        credentials = places.path(GIT_CREDENTIALS_DIR)
        return clone_code(order.git, places.code, credentials if credentials.is_dir() else None)
    empty(places.code)
    for path, text in order.inline_files.items():
        target = places.code / relative_path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    return None


def _record(
    order: StageInOrder, places: Places, bucket: Bucket, commit: str | None, restored: Restored
) -> None:
    """Write the parameters, and what is needed to run it again; of several workers the first does."""
    parameters = json.dumps(order.parameters, indent=2, ensure_ascii=False).encode()
    write_whole(places.path(PARAMS_FILE), parameters)
    if order.run.worker:
        return
    record = {
        "schemaVersion": 1,
        "kind": "RunRecord",
        "run": order.run.to_object(),
        "spec": order.spec,
        "image": order.spec.get("image"),
        "commit": commit,
        "datasets": [dataset.to_object() for dataset in order.datasets],
        "parameters": order.parameters,
        "resumedFrom": restored.resumed.to_object() if restored.resumed is not None else None,
        "versions": {"mlopsOperator": __version__},
        "createdAt": datetime.now(UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z"),
    }
    bucket.put_bytes(run_params_key(order.run), parameters)
    bucket.put_bytes(run_record_key(order.run), json.dumps(record, indent=2, ensure_ascii=False).encode())
