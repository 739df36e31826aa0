"""Where everything lies in a workspace's bucket (design, section 7): one function per key."""

from __future__ import annotations

from posixpath import normpath

from mlops_operator.api.wire import RunIdentity
from mlops_operator.errors import IntegrityError

MANIFEST = "manifest.json"
MODELS_PREFIX = "mlops/models/"
DATASETS_PREFIX = "mlops/datasets/"
RUNS_PREFIX = "mlops/runs/"
INDEX_PREFIX = "mlops/runs/index/"
CATALOG_KEY = "stac/catalog.json"
MODEL_COLLECTION = "ai-model"
DATASET_COLLECTION = "dataset"


def relative_path(path: str) -> str:
    """Check that a path from a manifest stays below its prefix, and give it back.

    Raises
    ------
    IntegrityError
        It is absolute, leaves the prefix, or is not in its normal form.
    """
    if not path or path.startswith("/") or normpath(path) != path or path.split("/", 1)[0] in (".", ".."):
        raise IntegrityError(f"{path!r} is not a path below a prefix of the bucket")
    return path


def run_record_key(run: RunIdentity) -> str:
    return f"{run.prefix}record.json"


def run_params_key(run: RunIdentity) -> str:
    return f"{run.prefix}params.json"


def run_manifest_key(run: RunIdentity) -> str:
    """Of the run: written last, after the manifest of the attempt that succeeded."""
    return f"{run.prefix}{MANIFEST}"


def run_history_key(run: RunIdentity) -> str:
    """Of the resource as it was when it had ended, and whenever it changed after that."""
    return f"{run.prefix}run.json"


def index_entry_key(run: RunIdentity, digest: str) -> str:
    """Of an entry of the index that is in no page yet."""
    return f"{INDEX_PREFIX}new/{run.name}-{run.uid[:8]}-{digest[:16]}.json"


def index_page_key(digest: str) -> str:
    return f"{INDEX_PREFIX}pages/{digest[:16]}.jsonl"


def attempt_manifest_key(run: RunIdentity) -> str:
    return f"{run.attempt_prefix}{MANIFEST}"


def attempt_progress_key(run: RunIdentity) -> str:
    return f"{run.attempt_prefix}progress.json"


def attempt_file_key(run: RunIdentity, path: str) -> str:
    """Of a file of an attempt; ``path`` is relative, such as ``artifacts/report.html``."""
    return f"{run.attempt_prefix}{relative_path(path)}"


def checkpoints_prefix(run: RunIdentity) -> str:
    return f"{run.prefix}checkpoints/"


def checkpoint_prefix(run: RunIdentity, name: str) -> str:
    """Of one checkpoint; ``name`` is as `mlops_operator.storage.checkpoints.SetName` writes it."""
    return f"{checkpoints_prefix(run)}{name}/"


def checkpoint_manifest_key(run: RunIdentity, name: str) -> str:
    return f"{checkpoint_prefix(run, name)}{MANIFEST}"


def checkpoint_file_key(run: RunIdentity, name: str, path: str) -> str:
    return f"{checkpoint_prefix(run, name)}files/{relative_path(path)}"


def artifact_model_key(run: RunIdentity, path: str) -> str:
    """Of a file of the model that an attempt made."""
    return f"{run.attempt_prefix}artifacts/model/{relative_path(path)}"


def requirements_cache_key(digest: str) -> str:
    """Of an installation of packages; it may be deleted at any time."""
    return f"mlops/cache/requirements/{digest}.tar.gz"


def model_prefix(model: str) -> str:
    return f"{MODELS_PREFIX}{model}/"


def version_prefix(model: str, version: str) -> str:
    return f"{MODELS_PREFIX}{model}/{version}/"


def claim_key(model: str, version: str) -> str:
    return f"{version_prefix(model, version)}claim.json"


def claim_notes_prefix(model: str, owner: str) -> str:
    """Of the notes that an owner leaves before it claims; no version's name begins with an underscore."""
    return f"{model_prefix(model)}_claims/{owner}/"


def claim_note_key(model: str, owner: str, version: str) -> str:
    return f"{claim_notes_prefix(model, owner)}{version}"


def model_manifest_key(model: str, version: str) -> str:
    return f"{version_prefix(model, version)}{MANIFEST}"


def model_file_key(model: str, version: str, path: str) -> str:
    """Of a file of a version. Raises IntegrityError where it would hide the claim or the manifest."""
    if relative_path(path) in ("claim.json", MANIFEST):
        raise IntegrityError(f"a model's file must not be named {path}: that name is the version's own")
    return f"{version_prefix(model, version)}{path}"


def dataset_manifest_key(name: str, version: str) -> str:
    return f"{DATASETS_PREFIX}{name}/versions/{version}.json"


def dataset_object_key(name: str, sha256: str) -> str:
    return f"{DATASETS_PREFIX}{name}/objects/{sha256}"


def collection_prefix(collection: str) -> str:
    return f"stac/collections/{collection}/"


def collection_key(collection: str) -> str:
    return f"{collection_prefix(collection)}collection.json"


def items_prefix(collection: str) -> str:
    return f"{collection_prefix(collection)}items/"


def item_key(collection: str, item_id: str) -> str:
    return f"{items_prefix(collection)}{item_id}.json"


def uri(bucket: str, key: str) -> str:
    """``s3://bucket/key``."""
    return f"s3://{bucket}/{key}"
