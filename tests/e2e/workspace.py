"""A workspace of a test's own: namespace, bucket, Secret, the operator's rights; and what users do in it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.e2e.kube import PATIENCE_SECONDS, Kube, NeverHappenedError, Object, Predicate, phase, poll

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_s3 import S3Client

API_VERSION = "mlops.eoepca.org/v1alpha1"
ENDED = {"Succeeded", "Failed", "Cancelled"}
IMAGE = "localhost/python-ml:1"
# Small enough for a dozen runs at once on a node with two CPUs.
RESOURCES = {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "512Mi"}}

TRAIN = """\
import json, os, pathlib
metrics = open(os.environ["MLOPS_METRICS_FILE"], "a", buffering=1)
for step in range(1, 4):
    metrics.write(json.dumps({"step": step, "loss": 1.0 / step}) + "\\n")
model = pathlib.Path(os.environ["MLOPS_MODEL_DIR"])
model.mkdir(parents=True, exist_ok=True)
(model / "model.bin").write_bytes(b"weights" * 1000)
print("trained")
"""


# Ends well as soon as the test says so, see Workspace.tell.
UNTIL_TOLD = f"""\
import pathlib, sys, time
end = time.monotonic() + {2 * PATIENCE_SECONDS}
while not pathlib.Path("/mlops/output/go").exists():
    if time.monotonic() > end:
        sys.exit("no sign came")
    time.sleep(0.1)
"""


@dataclass
class Workspace:
    """A namespace with a bucket of the same name."""

    name: str
    kube: Kube
    s3: S3Client

    # --- objects ----------------------------------------------------------------------------------------------
    def apply(self, *objects: Object) -> None:
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": [self._here(o) for o in objects]})
        done = self.kube.kubectl("apply", "-f", "-", input=text)
        assert done.returncode == 0, done.stderr

    def _here(self, obj: Object) -> Object:
        return {**obj, "metadata": {**obj["metadata"], "namespace": self.name}}

    def get(self, kind: str, name: str) -> Object | None:
        return self.kube.get(kind, self.name, name)

    def until(self, kind: str, name: str, predicate: Predicate, timeout: float = PATIENCE_SECONDS) -> Object:
        return self.kube.until(kind, self.name, name, predicate, timeout)

    def delete(self, kind: str, name: str, grace_seconds: int | None = None) -> None:
        self.kube.delete(kind, self.name, name, grace_seconds)

    # --- runs -------------------------------------------------------------------------------------------------
    def run(self, name: str, script: str = TRAIN, **spec: Any) -> None:
        """Apply a TrainingRun of an inline script."""
        self.apply(training_run(name, script, **spec))

    def until_run(self, name: str, predicate: Predicate, timeout: float = PATIENCE_SECONDS) -> Object:
        return self.until("TrainingRun", name, predicate, timeout)

    def until_phase(self, name: str, *phases: str, timeout: float = PATIENCE_SECONDS) -> Object:
        """Wait for a phase; a run that ends otherwise fails the test at once."""

        def reached(run: Object) -> bool:
            if phase(run) in phases:
                return True
            assert phase(run) not in ENDED, f"{name} ended as {run['status']}"
            return False

        return self.until_run(name, reached, timeout)

    def until_ended(self, name: str, timeout: float = PATIENCE_SECONDS) -> Object:
        return self.until_run(name, lambda run: phase(run) in ENDED, timeout)

    def failed(self, name: str, cause: str, timeout: float = PATIENCE_SECONDS) -> Object:
        """Wait for the run's end and hold that it failed by this cause; gives ``status.failure``."""
        run = self.until_ended(name, timeout)
        failure = run["status"].get("failure", {})
        assert (phase(run), failure.get("cause")) == ("Failed", cause), run["status"]
        assert failure["message"], failure
        return dict(failure)

    def succeeded(self, name: str, timeout: float = PATIENCE_SECONDS) -> Object:
        run = self.until_ended(name, timeout)
        assert phase(run) == "Succeeded", run["status"]
        return run

    def waits_for(self, name: str, reason: str, timeout: float = PATIENCE_SECONDS) -> str:
        """Wait until the run says why it waits; gives the message."""
        run = self.until_run(name, lambda r: r.get("status", {}).get("reason") == reason, timeout)
        assert phase(run) not in ENDED
        return str(run["status"]["message"])

    def pods(self, run: str) -> list[Object]:
        return self.kube.list("Pod", self.name, f"mlops.eoepca.org/owner-name={run}")

    def until_pod(self, run: str, predicate: Predicate = bool, timeout: float = PATIENCE_SECONDS) -> Object:
        pods: list[Object] = []
        for _ in poll(timeout):
            pods = self.pods(run)
            for pod in pods:
                if predicate(pod):
                    return pod
        raise NeverHappenedError(
            f"no pod of {run} in {timeout:.0f} s; seen: {[p.get('status') for p in pods]}"
        )

    def until_logged(self, pod: str, text: str, timeout: float = PATIENCE_SECONDS) -> None:
        """Wait until the command has written this: that its container runs says nothing of what it has done."""
        said = ""
        for _ in poll(timeout):
            said = self.kube.kubectl("-n", self.name, "logs", pod, "-c", "train").stdout
            if text in said:
                return
        raise NeverHappenedError(
            f"pod {pod} has not written {text!r} in {timeout:.0f} s; but: {said[-2000:]}"
        )

    def until_no_pods(self, run: str, timeout: float = PATIENCE_SECONDS) -> None:
        for _ in poll(timeout):
            if not self.pods(run):
                return
        raise NeverHappenedError(f"pods of {run} are still there after {timeout:.0f} s")

    def tell(self, run: str) -> None:
        """Give the training the sign that it waits for."""
        pod = self.pods(run)[0]["metadata"]["name"]
        sign = ("exec", pod, "-c", "train", "--", "touch", "/mlops/output/go")
        self.kube.kubectl("-n", self.name, *sign, check=True)

    def end_and_lose_the_pod(self, run: str) -> None:
        """Let the training end well where nothing can be uploaded; then nobody but the bucket can say what became of it."""
        self.tell(run)
        self.until_phase(run, "Uploading")
        self.delete("Pod", self.pods(run)[0]["metadata"]["name"], grace_seconds=0)

    # --- the bucket -------------------------------------------------------------------------------------------
    def put(self, key: str, data: bytes) -> None:
        self.s3.put_object(Bucket=self.name, Key=key, Body=data)

    def read(self, key: str) -> bytes:
        return self.s3.get_object(Bucket=self.name, Key=key)["Body"].read()

    def read_json(self, key: str) -> Any:
        return json.loads(self.read(key))

    def keys(self, prefix: str = "") -> list[str]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def run_prefix(self, run: Object) -> str:
        return f"mlops/runs/{run['metadata']['name']}-{run['metadata']['uid'][:8]}/"

    def manifest(self, run: Object) -> Any:
        return self.read_json(self.run_prefix(run) + "manifest.json")

    def check_files(self, run: Object) -> None:
        """Every file that the run's manifest names is in the bucket with its digest."""
        manifest = self.manifest(run)
        prefix = f"{self.run_prefix(run)}attempts/{manifest['run']['attempt']}/"
        for entry in manifest["files"]:
            data = self.read(prefix + entry["path"])
            assert (len(data), hashlib.sha256(data).hexdigest()) == (entry["sizeBytes"], entry["sha256"]), (
                entry
            )

    # --- datasets ---------------------------------------------------------------------------------------------
    def dataset(self, name: str, files: Mapping[str, bytes], version: str = "1", **spec: Any) -> None:
        """Put files below data/<name>/ and apply a TrainingDataset of them."""
        for path, data in files.items():
            self.put(f"data/{name}/{path}", data)
        source = {"s3": {"uri": f"s3://{self.name}/data/{name}/"}}
        self.apply(resource("TrainingDataset", name, {"version": version, "source": source, **spec}))

    def until_dataset_ready(self, name: str, timeout: float = PATIENCE_SECONDS) -> Object:
        return self.until("TrainingDataset", name, lambda d: phase(d) == "Ready", timeout)


def resource(kind: str, name: str, spec: Object) -> Object:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}


def training_run(name: str, script: str = TRAIN, **spec: Any) -> Object:
    """A TrainingRun of an inline script; ``spec`` overrides."""
    defaults = {
        "image": IMAGE,
        "command": ["python", "train.py"],
        "source": {"inline": {"files": {"train.py": script}}},
        "resources": RESOURCES,
    }
    return resource("TrainingRun", name, {**defaults, **spec})
