"""The history of a run: ``run.json`` beside its data, and an entry of the index."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from mlops_operator.api.history import RunEntry, entry_of
from mlops_operator.api.wire import RunIdentity
from mlops_operator.errors import IntegrityError, ObjectNotFound
from mlops_operator.storage.layout import run_history_key
from mlops_operator.storage.objects import Objects
from mlops_operator.storage.run_index import RunIndex


def record_run(index: RunIndex, bucket: Objects, run: Mapping[str, Any], *, now: datetime) -> str:
    """Write a run that has ended, given as its JSON. Gives the key of ``run.json``.

    The index comes last: whatever it names is there. Writing the same again changes nothing but the time.
    """
    entry = entry_of(run).model_copy(update={"recorded_at": now.replace(microsecond=0)})
    key = run_history_key(identity_of(entry))
    bucket.put_bytes(key, json.dumps(run, indent=2, ensure_ascii=False).encode())
    index.add(bucket, entry)
    return key


def read_run(bucket: Objects, entry: RunEntry) -> dict[str, Any]:
    """Read a run as it was recorded.

    Raises
    ------
    ObjectNotFound
        It is not there: somebody removed it.
    IntegrityError
        It is no TrainingRun.
    """
    key = run_history_key(identity_of(entry))
    try:
        run = json.loads(bucket.get_bytes(key))
    except ObjectNotFound as error:
        raise ObjectNotFound(
            f"the index names the run {entry.name} ({entry.uid}), but s3://{bucket.name}/{key} is not there"
        ) from error
    except ValueError as error:
        raise IntegrityError(f"s3://{bucket.name}/{key} is not JSON: {error}") from error
    if not isinstance(run, dict) or run.get("kind") != "TrainingRun":
        raise IntegrityError(f"s3://{bucket.name}/{key} is not a TrainingRun")
    return run


def identity_of(entry: RunEntry) -> RunIdentity:
    return RunIdentity(name=entry.name, namespace=entry.namespace, uid=entry.uid)
