"""Checkpoints on their way into the bucket while the code trains, each as a whole, its manifest last."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from mlops_operator.agent.checkpoint_folder import (
    Entry,
    File,
    UnusableError,
    check,
    list_files,
    look,
    step_of,
)
from mlops_operator.agent.failure import shorten
from mlops_operator.agent.objective import ObjectiveWatch
from mlops_operator.agent.parallel import in_parallel
from mlops_operator.agent.upload import SMALL_BYTES, SMALL_WORKERS, OutOfTime
from mlops_operator.api.checkpoints import CheckpointStatus
from mlops_operator.api.wire import (
    CheckpointManifest,
    CheckpointsOrder,
    FileEntry,
    RunIdentity,
    TrainingExit,
)
from mlops_operator.errors import AlreadyExists, IntegrityError, MlopsError
from mlops_operator.storage.checkpoints import SetName, list_checkpoints, read_checkpoint, remove_checkpoint
from mlops_operator.storage.client import Bucket
from mlops_operator.storage.digest import files_digest, sha256_file
from mlops_operator.storage.documents import encode
from mlops_operator.storage.layout import (
    checkpoint_file_key,
    checkpoint_manifest_key,
    checkpoint_prefix,
    uri,
)

_log = logging.getLogger(__name__)
# A training that was killed: what changed just before may be half written.
_QUIET_SECONDS = 5.0
_MAX_PROBLEMS = 8
_MAX_PROBLEM_BYTES = 500

Clock = Callable[[], float | None]


class _ChangedError(Exception):
    """A checkpoint changed, or vanished, while it was uploaded."""


@dataclass
class _Kept:
    """A checkpoint in the bucket."""

    step: int | None
    objective: float | None = None


@dataclass
class CheckpointSync:
    """Uploads the checkpoints of a run.

    Parameters
    ----------
    folder
        The checkpoint folder.
    deadline
        Gives the time (of time.monotonic) at which to stop, or None.
    changed
        Called when ``latest`` is another one.
    """

    order: CheckpointsOrder
    run: RunIdentity
    folder: Path
    bucket: Bucket
    deadline: Clock
    changed: Callable[[], None]
    objective: ObjectiveWatch | None = None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    latest: CheckpointStatus | None = None
    best_uri: str | None = None
    _kept: dict[SetName, _Kept] | None = None
    _sequence: int = 0
    # Of each entry: the state at the last look, and since when (time.monotonic) it is so.
    _seen: dict[str, tuple[int, float]] = field(default_factory=dict)
    _done: dict[str, int] = field(default_factory=dict)  # states that are in the bucket, or can never be
    _problems: dict[str, str] = field(default_factory=dict)
    _ended: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def watch(self) -> None:
        """Look again and again until the training has ended; for a thread of its own."""
        while not self._ended.wait(self.order.interval_seconds):
            with self._lock:
                if not self._ended.is_set():
                    self._guarded(self._complete(settled=False))

    def finish(self, training: TrainingExit, bucket: Bucket) -> list[str]:
        """Upload what there is at the end; give sentences on what could not be kept."""
        self._ended.set()
        # By itself it left nothing half written; where it was killed, or failed, it may have.
        asked = training.terminated or training.early_stopped or training.deadline_exceeded
        settled = training.signal is None and (training.exit_code == 0 or asked)
        deadline = self.deadline()
        timeout = -1.0 if deadline is None else max(0.0, deadline - time.monotonic())
        if not self._lock.acquire(timeout=timeout):
            return ["the last checkpoint is not in the bucket: an upload before it took too long"]
        try:
            self.bucket = bucket
            self._guarded(self._complete(settled=settled))
            return [f"checkpoint {name} is not in the bucket: {why}" for name, why in self._problems.items()]
        finally:
            self._lock.release()

    # --- which ------------------------------------------------------------------------------------------------

    def _complete(self, *, settled: bool) -> list[Entry]:
        """Give the complete entries that are not in the bucket: of more than are kept, the newest."""
        now = time.monotonic()
        entries = look(self.folder, self.order.markers)
        complete, seen = [], {}
        quiet = min(_QUIET_SECONDS, self.order.interval_seconds / 2)
        for entry in entries:
            state, since = self._seen.get(entry.name, (None, now))
            same = state == entry.state
            seen[entry.name] = (entry.state, since if same else now)
            if settled or entry.marked or (same and now - since >= quiet):
                complete.append(entry)
        self._seen = seen
        newest = complete[-self.order.keep :]
        return [entry for entry in newest if self._done.get(entry.name) != entry.state]

    # --- how --------------------------------------------------------------------------------------------------

    def _guarded(self, entries: list[Entry]) -> None:
        """Upload entries; what goes wrong is told, and tried again at the next look."""
        new = False
        for entry in entries:
            try:
                new |= self._upload(entry)
                self._problems.pop(entry.name, None)
            except _ChangedError as error:
                _log.info("checkpoint %s is still being written: %s", entry.name, error)
                self._seen.pop(entry.name, None)
            except UnusableError as error:
                self._done[entry.name] = entry.state
                self._say(entry.name, str(error))
            except (MlopsError, OSError, OutOfTime) as error:
                self._say(entry.name, str(error))
        if self._kept is not None:
            self._tidy(self._kept, swept=not new)

    def _say(self, name: str, problem: str) -> None:
        _log.warning("checkpoint %s is not in the bucket: %s", name, problem)
        if len(self._problems) < _MAX_PROBLEMS or name in self._problems:
            self._problems[name] = shorten(problem, _MAX_PROBLEM_BYTES)
        self._tell(self.latest)

    def _tell(self, latest: CheckpointStatus | None) -> None:
        if latest is not None:
            problems = [shorten(f"{name}: {why}", _MAX_PROBLEM_BYTES) for name, why in self._problems.items()]
            self.latest = latest.model_copy(update={"problems": problems})
        self.changed()

    def _load(self) -> dict[SetName, _Kept]:
        """See what earlier attempts, or an earlier process of this one, brought into the bucket."""
        if self._kept is None:
            found = list_checkpoints(self.bucket, self.run)
            self._sequence = max((name.sequence for name in (*found.complete, *found.partial)), default=0)
            kept = {}
            for name in found.complete:
                try:
                    manifest = read_checkpoint(self.bucket, self.run, name)
                    kept[name] = _Kept(manifest.step, manifest.objective)
                except IntegrityError as error:
                    _log.warning("a checkpoint is damaged: %s", error)
                    kept[name] = _Kept(None)
            self._kept = kept
        return self._kept

    def _upload(self, entry: Entry) -> bool:
        """Bring an entry into the bucket; False where the same bytes are there already."""
        started = time.monotonic()
        kept = self._load()
        files = self._list(entry.name)
        check(files, entry.name)
        entries = self._hash(files)
        digest = files_digest(entries)
        name = SetName.of(self.run.attempt, self._sequence + 1, digest)
        new = all(name.digest != there.digest for there in kept)
        if new:
            self._sequence += 1
            manifest = self._write(entry, name, entries)
            kept[name] = _Kept(manifest.step, manifest.objective)
            seconds = time.monotonic() - started
            _log.info("checkpoint %s: %d bytes stored in %.1f s", entry.name, manifest.size_bytes, seconds)
            self._tell(self._status(name, manifest))
        self._done[entry.name] = entry.state
        return new

    def _list(self, name: str) -> list[File]:
        try:
            return list(list_files(self.folder, name))
        except FileNotFoundError as error:
            raise _ChangedError(str(error)) from error

    def _hash(self, files: list[File]) -> list[FileEntry]:
        entries = []
        for file in files:
            self._in_time()
            try:
                sha256 = sha256_file(self.folder / file.path)
            except FileNotFoundError as error:
                raise _ChangedError(str(error)) from error
            entries.append(FileEntry(path=file.path, size_bytes=file.size_bytes, sha256=sha256))
        return entries

    def _write(self, entry: Entry, name: SetName, entries: list[FileEntry]) -> CheckpointManifest:
        """Upload the files, see that they are there and unchanged, and write the manifest."""
        try:
            self._send(name, [file for file in entries if file.size_bytes <= SMALL_BYTES], SMALL_WORKERS)
            self._send(name, [file for file in entries if file.size_bytes > SMALL_BYTES], 1)
            self._compare(name, entries)
            self._hold_still(entry)
            manifest = self._manifest(entry.name, name, entries)
            self.bucket.put_once(checkpoint_manifest_key(self.run, str(name)), encode(manifest))
        except (FileNotFoundError, IntegrityError) as error:
            self._drop(name)
            raise _ChangedError(str(error)) from error
        except (_ChangedError, OutOfTime):
            self._drop(name)
            raise
        except AlreadyExists as error:
            raise IntegrityError(f"another process writes checkpoints of this attempt: {error}") from error
        return manifest

    def _hold_still(self, entry: Entry) -> None:
        states = {seen.name: seen.state for seen in look(self.folder, ())}
        if states.get(entry.name) != entry.state:
            raise _ChangedError("it changed during the upload")

    def _manifest(self, entry: str, name: SetName, entries: list[FileEntry]) -> CheckpointManifest:
        step = step_of(entry)
        return CheckpointManifest(
            run=self.run,
            sequence=name.sequence,
            name=entry,
            step=step,
            objective=self.objective.value_at(step) if self.objective is not None else None,
            digest=files_digest(entries),
            size_bytes=sum(file.size_bytes for file in entries),
            files=entries,
            created_at=self.now(),
        )

    def _send(self, name: SetName, entries: list[FileEntry], workers: int) -> None:
        def send(file: FileEntry) -> None:
            self._in_time()
            self.bucket.upload_file(
                self.folder / file.path,
                checkpoint_file_key(self.run, str(name), file.path),
                sha256=file.sha256,
                progress=self._in_time,
            )

        if entries:
            in_parallel(send, entries, min(workers, len(entries)))

    def _compare(self, name: SetName, entries: list[FileEntry]) -> None:
        prefix = checkpoint_prefix(self.run, str(name))
        sizes = {found.key: found.size_bytes for found in self.bucket.list(prefix)}
        for file in entries:
            key = checkpoint_file_key(self.run, str(name), file.path)
            if sizes.get(key) != file.size_bytes:
                raise IntegrityError(
                    f"{file.path} has {file.size_bytes} bytes, but {sizes.get(key)} in the bucket"
                )

    def _in_time(self, _sent: int = 0) -> None:
        """Raise OutOfTime where the pod must go."""
        deadline = self.deadline()
        if deadline is not None and time.monotonic() > deadline:
            raise OutOfTime("the pod is being deleted, and the time for uploads is over")

    def _status(self, name: SetName, manifest: CheckpointManifest) -> CheckpointStatus:
        return CheckpointStatus(
            name=manifest.name,
            step=manifest.step,
            time=manifest.created_at,
            size_bytes=manifest.size_bytes,
            uri=self._uri(name),
        )

    def _uri(self, name: SetName) -> str:
        return uri(self.bucket.name, checkpoint_prefix(self.run, str(name)))

    # --- what goes ------------------------------------------------------------------------------------------------

    def _tidy(self, kept: dict[SetName, _Kept], *, swept: bool) -> None:
        """Remove all but the newest and the best, and what an agent that was killed left half written."""
        best = self._best(kept)
        if best is not None and self.best_uri != self._uri(best):
            self.best_uri = self._uri(best)
            _log.info("the best checkpoint is %s", best)
            self.changed()
        newest = sorted(kept)[-self.order.keep :]
        try:
            for name in [name for name in kept if name not in newest and name != best]:
                remove_checkpoint(self.bucket, self.run, name)
                del kept[name]
            if not swept:
                self._sweep(max(kept))
        except MlopsError as error:
            _log.warning("old checkpoints are still in the bucket: %s", error)

    def _sweep(self, newest: SetName) -> None:
        """Remove half-written ones; those of a later attempt are not ours."""
        for name in list_checkpoints(self.bucket, self.run).partial:
            if name < newest:
                remove_checkpoint(self.bucket, self.run, name)

    def _best(self, kept: dict[SetName, _Kept]) -> SetName | None:
        """Give the checkpoint with the best objective, among those of which it is known."""
        if self.objective is None:
            return None
        best: SetName | None = None
        value: float | None = None
        for name in sorted(kept):
            found = self.objective.value_at(kept[name].step)
            found = kept[name].objective if found is None else found
            found = self.objective.carried(self._uri(name)) if found is None else found
            if found is not None and self.objective.is_better(found, value):
                best, value = name, found
        return best

    def _drop(self, name: SetName) -> None:
        try:
            remove_checkpoint(self.bucket, self.run, name)
        except MlopsError as error:
            _log.warning("half a checkpoint stays behind until the next one: %s", error)
