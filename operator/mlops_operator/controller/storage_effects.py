"""What each effect does: the functions of ``mlops_operator.storage``, in threads, on the workspace's bucket."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from datetime import UTC, datetime
from typing import Any, TypeVar

from mlops_operator.api.modelversion import ModelFileStatus, ModelMetadata
from mlops_operator.api.trainingdataset import TrainingDatasetSpec
from mlops_operator.api.wire import BucketHint, RunIdentity
from mlops_operator.controller.effects import SecretMissing
from mlops_operator.controller.workspaces import Workspaces
from mlops_operator.domain import effects as e
from mlops_operator.errors import MlopsError
from mlops_operator.storage.catalog import Catalogue
from mlops_operator.storage.checkpoints import newest_of_name
from mlops_operator.storage.claims import claim_version
from mlops_operator.storage.dataset_manifest import read_dataset_manifest
from mlops_operator.storage.history import record_run
from mlops_operator.storage.layout import dataset_manifest_key
from mlops_operator.storage.model_store import store_model
from mlops_operator.storage.publish import publish_dataset, publish_model
from mlops_operator.storage.run_index import RunIndex
from mlops_operator.storage.run_manifest import read_progress, read_run_manifest, verify_files

_T = TypeVar("_T")


class StorageEffects:
    """Runs effects (see ``effects.Runner``).

    Parameters
    ----------
    threads
        Bounds how many effects use a bucket at a time.
    progress_ca
        Gives the CA of the progress endpoint as PEM.
    """

    def __init__(
        self,
        workspaces: Workspaces,
        threads: Executor,
        progress_ca: Callable[[], str],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._workspaces = workspaces
        self._threads = threads
        self._progress_ca = progress_ca
        self._now = now
        self._catalogue = Catalogue()
        self._index = RunIndex()
        # One writer of a workspace's catalogue at a time; those who wait hold no thread.
        self._publishing: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._do: dict[type[e.Effect], Callable[[Any], Awaitable[e.Outcome]]] = {
            e.CheckWorkspace: self._check_workspace,
            e.CheckSecret: self._check_secret,
            e.ReadRunManifest: self._read_run_manifest,
            e.ReadProgress: self._read_progress,
            e.FindCheckpoint: self._find_checkpoint,
            e.ReadDatasetManifest: self._read_dataset_manifest,
            e.ClaimVersion: self._claim_version,
            e.StoreModel: self._store_model,
            e.PublishModelItem: self._publish_model,
            e.PublishDatasetItem: self._publish_dataset,
            e.RecordRun: self._record_run,
        }

    async def run(self, effect: e.Effect) -> e.Outcome:
        """Do an effect.

        Raises
        ------
        MlopsError
            It did not work.
        """
        return await self._do[type(effect)](effect)

    async def _check_workspace(self, effect: e.CheckWorkspace) -> e.Outcome:
        credentials = await self._workspaces.credentials(effect.namespace, effect.secret)
        hint = BucketHint(
            endpoint=credentials.endpoint,
            region=credentials.region,
            bucket=credentials.bucket,
            force_path_style=credentials.force_path_style,
        )
        name = effect.secret or self._workspaces.secret_name(effect.namespace)
        return e.WorkspaceReady(self._now(), name, hint, self._progress_ca())

    async def _check_secret(self, effect: e.CheckSecret) -> e.Outcome:
        data = await self._workspaces.secret(effect.namespace, effect.name)
        missing = [key for key in effect.keys if key not in data]
        if missing:
            raise SecretMissing(
                f"the Secret {effect.name} in namespace {effect.namespace} lacks {', '.join(missing)}"
            )
        return e.SecretPresent(self._now(), effect.name)

    async def _read_run_manifest(self, effect: e.ReadRunManifest) -> e.Outcome:
        bucket = self._workspaces.bucket(effect.namespace)

        def read() -> e.Outcome:
            at = self._now()
            found = read_run_manifest(bucket, effect.run_name, effect.run_uid)
            if found is None:
                return e.RunManifestRead(at, None)
            manifest, digest = found
            return e.RunManifestRead(at, manifest, digest, verify_files(bucket, manifest))

        return await self._in_thread(effect, read)

    async def _read_progress(self, effect: e.ReadProgress) -> e.Outcome:
        bucket = self._workspaces.bucket(effect.namespace)

        def read() -> e.Outcome:
            identity = RunIdentity(
                name=effect.run_name,
                namespace=effect.namespace,
                uid=effect.run_uid,
                attempt=effect.attempt,
                worker=effect.worker,
            )
            found = read_progress(bucket, identity)
            return e.ProgressRead(self._now(), found)

        return await self._in_thread(effect, read)

    async def _find_checkpoint(self, effect: e.FindCheckpoint) -> e.Outcome:
        bucket = self._workspaces.bucket(effect.namespace)

        def find() -> e.Outcome:
            at = self._now()
            found = newest_of_name(bucket, effect.run_name, without_uid=effect.without_uid)
            return e.CheckpointFound(at, found.run.uid if found is not None else None)

        return await self._in_thread(effect, find)

    async def _read_dataset_manifest(self, effect: e.ReadDatasetManifest) -> e.Outcome:
        bucket = self._workspaces.bucket(effect.namespace)

        def read() -> e.Outcome:
            at = self._now()
            found = read_dataset_manifest(bucket, effect.name, effect.version)
            if found is None:
                return e.DatasetManifestRead(at, None)
            key = dataset_manifest_key(effect.name, effect.version)
            return e.DatasetManifestRead(at, found.model_copy(update={"files": []}), key, len(found.files))

        return await self._in_thread(effect, read)

    async def _claim_version(self, effect: e.ClaimVersion) -> e.Outcome:
        bucket = self._workspaces.bucket(effect.namespace)

        def claim() -> e.Outcome:
            version = claim_version(bucket, effect.model, effect.version, effect.owner, self._now())
            return e.VersionClaimed(self._now(), version)

        return await self._in_thread(effect, claim)

    async def _store_model(self, effect: e.StoreModel) -> e.Outcome:
        bucket = self._workspaces.bucket(effect.namespace)

        def store() -> e.Outcome:
            stored = store_model(bucket, effect.model, effect.version, effect.run, now=self._now())
            files = tuple(
                ModelFileStatus(path=file.path, size_bytes=file.size_bytes, sha256=file.sha256)
                for file in stored.manifest.files
            )
            return e.ModelStored(
                self._now(),
                stored.uri,
                stored.manifest.digest,
                stored.manifest.size_bytes,
                files,
                stored.run_manifest,
            )

        return await self._in_thread(effect, store)

    async def _publish_model(self, effect: e.PublishModelItem) -> e.Outcome:
        bucket = self._workspaces.bucket(effect.namespace)

        def publish() -> e.Outcome:
            key = publish_model(
                self._catalogue,
                bucket,
                workspace=effect.workspace,
                model=effect.model,
                version=effect.version,
                metadata=ModelMetadata.model_validate_json(effect.metadata_json),
                now=self._now(),
            )
            return e.ItemPublished(self._now(), key)

        async with self._publishing[effect.namespace]:
            return await self._in_thread(effect, publish)

    async def _publish_dataset(self, effect: e.PublishDatasetItem) -> e.Outcome:
        bucket = self._workspaces.bucket(effect.namespace)

        def publish() -> e.Outcome:
            key = publish_dataset(
                self._catalogue,
                bucket,
                workspace=effect.workspace,
                name=effect.name,
                version=effect.version,
                spec=TrainingDatasetSpec.model_validate_json(effect.spec_json),
                now=self._now(),
            )
            return e.ItemPublished(self._now(), key)

        async with self._publishing[effect.namespace]:
            return await self._in_thread(effect, publish)

    async def _record_run(self, effect: e.RecordRun) -> e.Outcome:
        bucket = self._workspaces.bucket(effect.namespace)

        def record() -> e.Outcome:
            key = record_run(self._index, bucket, json.loads(effect.document), now=self._now())
            return e.RunRecorded(self._now(), key)

        return await self._in_thread(effect, record)

    async def _in_thread(self, effect: e.Effect, work: Callable[[], _T]) -> _T:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, work)
        except MlopsError:
            # The next try opens the bucket with what the Secret says then.
            self._workspaces.forget(effect.namespace)
            raise
