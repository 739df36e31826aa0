"""Good and bad manifests of the three kinds: the unit tests judge them by model and schema, the e2e tests by kubectl."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Object = dict[str, Any]

API_VERSION = "mlops.eoepca.org/v1alpha1"
MINIMAL: dict[str, Object] = {
    "TrainingDataset": {"version": "1", "source": {"s3": {"uri": "s3://alice/wine/"}}},
    "TrainingRun": {"image": "python-ml:1", "command": ["python", "train.py"]},
    "ModelVersion": {"model": "wine-classifier", "source": {"trainingRun": {"name": "wine"}}},
}
GIT: Object = {"url": "https://git.example.org/alice/landcover.git"}
INLINE: Object = {"files": {"train.py": "print('hello')"}}
PLACE = {"bbox": [-6.0, 35.5, 18.0, 47.0]}

# Everything that can be said, at once.
FULL: dict[str, Object] = {
    "TrainingDataset": {
        "version": "2024.1",
        "source": {
            "git": GIT | {"ref": "main", "path": "data", "lfs": True, "credentialsSecretRef": {"name": "g"}}
        },
        "storage": "Reference",
        "description": "Labels of land cover.",
        "license": "CC-BY-4.0",
        "keywords": ["land cover"],
        "providers": [
            {
                "name": "Alice",
                "description": "Drew it.",
                "roles": ["producer", "host"],
                "url": "https://example.org",
            }
        ],
        "extent": PLACE | {"interval": ["2024-05-01T00:00:00Z", "2024-06-01T12:30:00.5+02:00"]},
    },
    "TrainingRun": {
        "experiment": "wine (v2)",
        "source": {"inline": INLINE},
        "image": "registry.example.org/python-ml:1@sha256:" + "0" * 64,
        "command": ["python", "train.py"],
        "args": ["--rate", "$(PARAM_LEARNING_RATE)"],
        "env": [
            {"name": "A", "value": ""},
            {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": True}}},
            {"name": "C", "valueFrom": {"configMapKeyRef": {"name": "s", "key": "k"}}},
            {"name": "D", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        ],
        "envFrom": [
            {"prefix": "X_", "secretRef": {"name": "s", "optional": True}},
            {"configMapRef": {"name": "c"}},
        ],
        "workingDir": "/work",
        "parameters": {
            "learning_rate": 0.01,
            "epochs": 20,
            "augment": True,
            "optimizer": "adam",
            "warm.up": 0,
        },
        "datasets": [
            {"name": "wine", "version": "1", "include": ["**/*.csv"], "mountPath": "/data"},
            {"name": "scene", "mountPath": "/mlops/code/scene"},
        ],
        "resources": {
            "requests": {"cpu": "500m", "memory": "1Gi"},
            "limits": {"cpu": 2, "memory": "1.5Gi", "example.org/x": 1},
        },
        "accelerator": {"class": "gpu-large", "count": 2},
        "profile": "gpu-small",
        "scheduling": {
            "nodeSelector": {"kubernetes.io/arch": "amd64"},
            "tolerations": [
                {"operator": "Exists"},
                {
                    "key": "gpu",
                    "operator": "Equal",
                    "value": "yes",
                    "effect": "NoExecute",
                    "tolerationSeconds": 60,
                },
            ],
            "affinity": {
                "nodeAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": {
                        "nodeSelectorTerms": [
                            {
                                "matchExpressions": [
                                    {"key": "gpu", "operator": "In", "values": ["a100", "h100"]}
                                ]
                            },
                            {"matchFields": [{"key": "metadata.name", "operator": "NotIn", "values": ["n"]}]},
                        ]
                    },
                    "preferredDuringSchedulingIgnoredDuringExecution": [
                        {
                            "weight": 100,
                            "preference": {"matchExpressions": [{"key": "ssd", "operator": "Exists"}]},
                        }
                    ],
                },
                "podAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": [
                        {"labelSelector": {"matchLabels": {"app": "cache"}}, "topologyKey": "zone"}
                    ]
                },
                "podAntiAffinity": {
                    "preferredDuringSchedulingIgnoredDuringExecution": [
                        {
                            "weight": 1,
                            "podAffinityTerm": {
                                "labelSelector": {
                                    "matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]
                                },
                                "topologyKey": "kubernetes.io/hostname",
                            },
                        }
                    ]
                },
            },
            "priorityClassName": "training",
            "runtimeClassName": "nvidia",
        },
        "pod": {
            "imagePullSecrets": [{"name": "registry"}],
            "imagePullPolicy": "IfNotPresent",
            "serviceAccountName": "trainer",
            "volumes": [
                {
                    "name": "settings",
                    "configMap": {"name": "c", "items": [{"key": "a", "path": "b/a", "mode": 256}]},
                },
                {"name": "keys", "secret": {"secretName": "s", "defaultMode": 288, "optional": True}},
                {"name": "shared", "persistentVolumeClaim": {"claimName": "data", "readOnly": True}},
                {"name": "room", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}},
                {"name": "more", "emptyDir": {}},
                {"name": "nas", "nfs": {"server": "nas.example.org", "path": "/export", "readOnly": True}},
            ],
            "volumeMounts": [
                {"name": "shared", "mountPath": "/mlops/code/shared", "subPath": "wine", "readOnly": True},
                {"name": "room", "mountPath": "/room"},
            ],
            "sharedMemory": "512Mi",
            "scratch": {"size": "200Gi", "storageClassName": "fast", "mountPath": "/scratch"},
        },
        "requirements": {"packages": ["lightning==2.5.*", 'torchmetrics >= 1; python_version > "3.8"']},
        "metrics": {
            "sources": [
                {"type": "JSONLines", "path": "logs/metrics.jsonl"},
                {"type": "TensorBoard", "path": "runs/*"},
                {"type": "Stdout", "pattern": r"(?P<name>\w+)=(?P<value>\S+)"},
            ],
            "objective": {"name": "val/loss", "goal": "Minimize"},
            "earlyStopping": {"patience": 5, "minDelta": 0.001},
        },
        "checkpoints": {
            "path": "runs/checkpoints",
            "syncIntervalSeconds": 60,
            "keep": 3,
            "completeMarkers": ["trainer_state.json", ".done"],
            "resume": False,
        },
        "resumeFrom": {"trainingRun": {"name": "teacher"}},
        "tracking": {
            "mlflow": {
                "uri": "https://sharinghub.example.org/mlflow/alice/wine/tracking/",
                "experiment": "wine (42)",
                "credentialsSecretRef": {"name": "sharinghub"},
            }
        },
        "workers": {"count": 1, "launcher": "Torchrun"},
        "deadlineSeconds": 3600,
        "startDeadlineSeconds": 86400,
        "retry": {"limit": 3, "backoffSeconds": 30, "sides": ["Platform", "User"]},
        "outputs": {
            "model": {
                "name": "wine-classifier",
                "version": "1.2.0",
                "path": "./out/*.onnx",
                "register": "Never",
                "metadata": {"tasks": ["classification"]} | PLACE,
            },
            "artifacts": [{"name": "plots", "path": "plots/"}],
        },
        "rerunOf": {"name": "landcover-3", "uid": "0a1b2c3d-0000-4000-8000-000000000001"},
        "displayName": "Land cover, more trees",
        "archived": True,
        "ttlSecondsAfterFinished": 86400,
        "suspend": False,
        "cancel": False,
    },
    "ModelVersion": {
        "model": "wine-classifier",
        "version": "3",
        "source": {"trainingRun": {"name": "wine", "uid": "0a8f5bd7-3d61-4b6e-9c6a-2f4f5f6d7e8f"}},
        "metadata": {
            "title": "Wine",
            "description": "Tells cultivars apart.",
            "license": "Apache-2.0",
            "tasks": ["classification"],
            "architecture": "MLP",
            "framework": "scikit-learn",
            "frameworkVersion": "1.7",
            "keywords": ["wine"],
            "learningApproach": "supervised",
            "predictionType": "classification",
        }
        | PLACE,
    },
}

# Who says no: the schema and the model alike; a CEL rule and the model; a CEL rule or the server alone.
By = Literal["schema", "one-of", "server"]


@dataclass(frozen=True)
class Refused:
    """A manifest that must be refused; ``says`` is what the message must name."""

    kind: str
    case: str
    spec: Object
    says: str
    by: By = "schema"
    name: str = "refused"

    @property
    def id(self) -> str:
        return f"{self.kind}: {self.case}"


def manifest(kind: str, spec: Object, name: str = "sample") -> Object:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}


def _without(kind: str, field: str) -> Object:
    return {key: value for key, value in MINIMAL[kind].items() if key != field}


def _run(case: str, says: str, by: By = "schema", **spec: Any) -> Refused:
    return Refused("TrainingRun", case, MINIMAL["TrainingRun"] | spec, says, by)


def _dataset(case: str, says: str, by: By = "schema", **spec: Any) -> Refused:
    return Refused("TrainingDataset", case, MINIMAL["TrainingDataset"] | spec, says, by)


def _model(case: str, says: str, by: By = "schema", **spec: Any) -> Refused:
    return Refused("ModelVersion", case, MINIMAL["ModelVersion"] | spec, says, by)


def _env(case: str, says: str, by: By, **variable: Any) -> Refused:
    return _run(case, says, by, env=[variable])


def _mount(path: str, by: By = "server") -> Refused:
    return _run(
        f"mounted at {path}", "spec.datasets[0].mountPath", by, datasets=[{"name": "d", "mountPath": path}]
    )


def _pod(case: str, says: str, by: By = "schema", **pod: Any) -> Refused:
    return _run(case, says, by, pod=pod)


_NODES = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "gpu", "operator": "In"}]}]}
_NEIGHBOUR = {"labelSelector": {}, "topologyKey": "zone", "namespaces": ["ws-bob"]}


def _inline(case: str, files: dict[str, str], by: By = "server") -> Refused:
    return _run(case, "spec.source.inline.files", by, source={"inline": {"files": files}})


REFUSED: tuple[Refused, ...] = (
    # --- TrainingRun
    _run("unknown field", "spec.learningRate", "server", learningRate=0.01),
    _run(
        "unknown nested field", "spec.source.git.branch", "server", source={"git": GIT | {"branch": "main"}}
    ),
    Refused("TrainingRun", "no image", _without("TrainingRun", "image"), "spec.image"),
    Refused("TrainingRun", "no command", _without("TrainingRun", "command"), "spec.command"),
    Refused("TrainingRun", "nothing", {}, "spec.image"),
    Refused("TrainingRun", "long name", MINIMAL["TrainingRun"], "metadata.name", "server", "r" * 53),
    Refused("TrainingRun", "dotted name", MINIMAL["TrainingRun"], "metadata.name", "server", "wine.1"),
    _run("empty command", "spec.command", command=[]),
    _run("command as a string", "spec.command", command="python train.py"),
    _run("empty image", "spec.image", image=""),
    _run("no source", "spec.source", "one-of", source={}),
    _run("two sources", "spec.source", "one-of", source={"git": GIT, "inline": INLINE}),
    _run("git without url", "spec.source.git.url", source={"git": {}}),
    _run("git by ssh", "spec.source.git.url", source={"git": {"url": "git@example.org:alice/x.git"}}),
    _run(
        "git with a password", "spec.source.git.url", source={"git": {"url": "https://a:b@example.org/x.git"}}
    ),
    _run(
        "mlflow with a password",
        "spec.tracking.mlflow.uri",
        tracking={"mlflow": {"uri": "https://a:b@mlflow.example.org"}},
    ),
    _run("git option for a ref", "spec.source.git.ref", source={"git": GIT | {"ref": "--upload-pack=x"}}),
    _run("git path outside", "spec.source.git.path", source={"git": GIT | {"path": "../x"}}),
    _run("inline without files", "spec.source.inline.files", source={"inline": {"files": {}}}),
    _inline("inline path outside", {"../x.py": ""}),
    _inline("inline absolute path", {"/etc/x.py": ""}),
    _inline("inline path with a space", {"a b.py": ""}),
    _inline("a large inline file", {"x.py": "#" * 32769}, "schema"),
    _inline("large inline files", {"x.py": "#" * 20000, "y.py": "#" * 20000}),
    _run("a list as parameter", "spec.parameters.layers", parameters={"layers": [64, 32]}),
    _run("an empty list as parameter", "spec.parameters.layers", parameters={"layers": []}),
    _run("an object as parameter", "spec.parameters.adam", parameters={"adam": {"beta": 0.9}}),
    _run("an empty object as parameter", "spec.parameters.adam", parameters={"adam": {}}),
    _run("a long parameter", "spec.parameters.text", parameters={"text": "x" * 1025}),
    _run("too many parameters", "spec.parameters", parameters={f"p{i}": i for i in range(129)}),
    _run("parameter with a bad name", "spec.parameters", "server", parameters={"learning rate": 0.1}),
    _run("parameter named by a number", "spec.parameters", "server", parameters={"1st": 0.1}),
    _run("parameters of one variable", "spec.parameters", "server", parameters={"a.b": 1, "A_B": 2}),
    _run("checkpoints outside", "spec.checkpoints.path", checkpoints={"path": "../x"}),
    _run("no checkpoint kept", "spec.checkpoints.keep", checkpoints={"keep": 0}),
    _run("no pause between looks", "spec.checkpoints.syncInterval", checkpoints={"syncIntervalSeconds": 0}),
    _run("marker outside", "spec.checkpoints.completeMarkers", checkpoints={"completeMarkers": ["/x"]}),
    _run("going on from nothing", "spec.resumeFrom", "one-of", resumeFrom={}),
    _run("going on from a bad name", "spec.resumeFrom.tr", resumeFrom={"trainingRun": {"name": "A b"}}),
    _run("objective without a goal", "spec.metrics.objective.goal", metrics={"objective": {"name": "f1"}}),
    _run(
        "objective with another goal",
        "spec.metrics.objective.goal",
        metrics={"objective": {"name": "f1", "goal": "Max"}},
    ),
    _run(
        "patience without an objective",
        "spec.metrics.earlyStopping",
        "server",
        metrics={"earlyStopping": {"patience": 3}},
    ),
    _run(
        "no patience",
        "spec.metrics.earlyStopping.patience",
        metrics={"objective": {"name": "f1", "goal": "Maximize"}, "earlyStopping": {"patience": 0}},
    ),
    _run("bad quantity", "spec.resources.limits.memory", resources={"limits": {"memory": "4 GB"}}),
    _run("fraction as number", "spec.resources.requests.cpu", resources={"requests": {"cpu": 0.5}}),
    _run("negative quantity", "spec.resources.limits.cpu", resources={"limits": {"cpu": -1}}),
    _run(
        "more requested than allowed",
        "spec.resources.requests",
        "server",
        resources={"requests": {"cpu": "1500m"}, "limits": {"cpu": 1}},
    ),
    _env("variable without a value", "spec.env[0]", "one-of", name="A"),
    _env(
        "variable with two values",
        "spec.env[0]",
        "one-of",
        name="A",
        value="1",
        valueFrom={"fieldRef": {"fieldPath": "spec.nodeName"}},
    ),
    _env("variable from nowhere", "spec.env[0].valueFrom", "one-of", name="A", valueFrom={}),
    _env("variable with a bad name", "spec.env[0].name", "schema", name="A B", value=""),
    _env("variable of the operator", "spec.env[0].name", "server", name="MLOPS_RUN_NAME", value=""),
    _env("variable of a parameter", "spec.env[0].name", "server", name="PARAM_EPOCHS", value=""),
    _env("tracking address", "spec.env[0].name", "server", name="MLFLOW_TRACKING_URI", value=""),
    _run(
        "a variable twice",
        "spec.env[1]",
        "server",
        env=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}],
    ),
    _run("variables from nowhere", "spec.envFrom[0]", "one-of", envFrom=[{"prefix": "X_"}]),
    _run("relative working directory", "spec.workingDir", workingDir="code"),
    _run("dataset without name", "spec.datasets[0].name", datasets=[{"version": "1"}]),
    _run("dataset with a bad name", "spec.datasets[0].name", datasets=[{"name": "Wine"}]),
    _run(
        "a dataset twice",
        "spec.datasets[1]",
        "server",
        datasets=[{"name": "d"}, {"name": "d", "version": "2"}],
    ),
    _run("glob outside", "spec.datasets[0].include[0]", datasets=[{"name": "d", "include": ["../*"]}]),
    _pod("volume without a kind", "spec.pod.volumes[0]", "one-of", volumes=[{"name": "v"}]),
    _pod(
        "volume of two kinds",
        "spec.pod.volumes[0]",
        "one-of",
        volumes=[{"name": "v", "emptyDir": {}, "configMap": {"name": "c"}}],
    ),
    _pod("volume of the node", "hostPath", "one-of", volumes=[{"name": "v", "hostPath": {"path": "/"}}]),
    _pod(
        "two volumes of one name",
        "spec.pod.volumes[1]",
        "server",
        volumes=[{"name": "v", "emptyDir": {}}, {"name": "v", "emptyDir": {}}],
    ),
    _pod("volume with a long name", "spec.pod.volumes[0].name", volumes=[{"name": "v" * 57, "emptyDir": {}}]),
    _pod(
        "volume over the operator's folders",
        "spec.pod.volumeMounts[0].mountPath",
        "server",
        volumeMounts=[{"name": "v", "mountPath": "/mlops/bin"}],
    ),
    _pod(
        "volume with a way out",
        "spec.pod.volumeMounts[0].subPath",
        volumeMounts=[{"name": "v", "mountPath": "/v", "subPath": "../x"}],
    ),
    _pod("scratch without a size", "spec.pod.scratch.size", scratch={}),
    _pod(
        "scratch over the operator's folders",
        "spec.pod.scratch.mountPath",
        "server",
        scratch={"size": "1Gi", "mountPath": "/mlops/output"},
    ),
    _pod("shared memory that is no size", "spec.pod.sharedMemory", sharedMemory="much"),
    _run(
        "affinity without values",
        "values",
        "server",
        scheduling={"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": _NODES}}},
    ),
    _run(
        "affinity to another namespace",
        "namespaces",
        "server",
        scheduling={
            "affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [_NEIGHBOUR]}}
        },
    ),
    _run("no requirements", "spec.requirements", "one-of", requirements={}),
    _run(
        "requirements by file and by name",
        "spec.requirements",
        "one-of",
        requirements={"file": "r.txt", "packages": ["numpy"]},
        source={"inline": INLINE},
    ),
    _run("requirements file without a source", "spec.requirements", "server", requirements={"file": "r.txt"}),
    _run("option among packages", "spec.requirements.packages[0]", requirements={"packages": ["--pre"]}),
    _mount("data", "schema"),
    _mount("/", "schema"),
    _mount("/data/../mlops/bin", "schema"),
    _mount("/mlops"),
    _mount("/mlops/bin"),
    _mount("/mlops/credentials/s3"),
    _mount("/mlops/code"),
    _mount("/tmp"),  # noqa: S108 - refused
    _run("accelerator without class", "spec.accelerator.class", accelerator={"count": 1}),
    _run("no accelerator", "spec.accelerator.count", accelerator={"class": "gpu", "count": 0}),
    _run(
        "toleration of nothing",
        "spec.scheduling.tolerations[0]",
        "server",
        scheduling={"tolerations": [{"effect": "NoSchedule"}]},
    ),
    _run("unknown pull policy", "spec.pod.imagePullPolicy", pod={"imagePullPolicy": "Sometimes"}),
    _run(
        "unknown metric source",
        "spec.metrics.sources[0].type",
        metrics={"sources": [{"type": "Prometheus", "path": "x"}]},
    ),
    _run(
        "a pattern that has no output",
        "spec.metrics.sources[0]",
        "server",
        metrics={"sources": [{"type": "JSONLines", "path": "x", "pattern": "y"}]},
    ),
    _run(
        "output without a pattern",
        "spec.metrics.sources[0]",
        "server",
        metrics={"sources": [{"type": "Stdout", "path": "x"}]},
    ),
    _run(
        "event files that are nowhere",
        "spec.metrics.sources[0]",
        "server",
        metrics={"sources": [{"type": "TensorBoard"}]},
    ),
    _run("no worker", "spec.workers.count", workers={"count": 0}),
    _run("more workers than there may be", "spec.workers.count", workers={"count": 65}),
    _run("a launcher that is not known", "spec.workers.launcher", workers={"count": 2, "launcher": "MPI"}),
    _run(
        "early stopping of several workers",
        "spec.metrics",
        "server",
        workers={"count": 2},
        metrics={"objective": {"name": "loss", "goal": "Minimize"}, "earlyStopping": {"patience": 3}},
    ),
    _run("no time", "spec.deadlineSeconds", deadlineSeconds=0),
    _run("no time to start", "spec.startDeadlineSeconds", startDeadlineSeconds=0),
    _run("too many attempts", "spec.retry.limit", retry={"limit": 10}),
    _run("no back-off", "spec.retry.backoffSeconds", retry={"backoffSeconds": 0}),
    _run("nobody's failures", "spec.retry.sides[0]", retry={"sides": ["Nobody"]}),
    _run("suspend in words", "spec.suspend", suspend="later"),
    _run("time with a unit", "spec.deadlineSeconds", deadlineSeconds="1h"),
    _run("model without name", "spec.outputs.model.name", outputs={"model": {}}),
    _run("model with a bad name", "spec.outputs.model.name", outputs={"model": {"name": "Wine_Classifier"}}),
    _run(
        "model path outside",
        "spec.outputs.model.path",
        outputs={"model": {"name": "wine", "path": "../m.onnx"}},
    ),
    _run(
        "unknown register",
        "spec.outputs.model.register",
        outputs={"model": {"name": "wine", "register": "Maybe"}},
    ),
    _run(
        "an artifact twice",
        "spec.outputs.artifacts[1]",
        "server",
        outputs={"artifacts": [{"name": "a", "path": "x"}, {"name": "a", "path": "y"}]},
    ),
    _run("cancel in words", "spec.cancel", cancel="now"),
    # --- TrainingDataset
    _dataset("unknown field", "spec.format", "server", format="csv"),
    Refused("TrainingDataset", "no version", _without("TrainingDataset", "version"), "spec.version"),
    Refused("TrainingDataset", "no source", _without("TrainingDataset", "source"), "spec.source"),
    Refused("TrainingDataset", "long name", MINIMAL["TrainingDataset"], "metadata.name", "server", "d" * 41),
    Refused(
        "TrainingDataset", "dotted name", MINIMAL["TrainingDataset"], "metadata.name", "server", "wine.2024"
    ),
    _dataset("empty source", "spec.source", "one-of", source={}),
    _dataset("two sources", "spec.source", "one-of", source={"git": GIT, "s3": {"uri": "s3://alice/wine/"}}),
    _dataset("bad uri", "spec.source.s3.uri", source={"s3": {"uri": "https://example.org/wine"}}),
    _dataset("number as version", "spec.version", version=2),
    _dataset("bad version", "spec.version", version="1..2"),
    _dataset("unknown storage", "spec.storage", storage="Copy"),
    _dataset("bad place", "spec.extent.bbox", extent={"bbox": [1, 2, 3]}),
    _dataset("place upside down", "spec.extent.bbox", "server", extent={"bbox": [0, 50, 10, 40]}),
    _dataset("bad time", "spec.extent.interval[0]", extent={"interval": ["2024", "2025"]}),
    _dataset("unknown role", "spec.providers[0].roles[0]", providers=[{"name": "A", "roles": ["owner"]}]),
    _dataset("list as description", "spec.description", description=["wine"]),
    # --- ModelVersion
    _model("unknown field", "spec.stage", "server", stage="Production"),
    Refused("ModelVersion", "no model", _without("ModelVersion", "model"), "spec.model"),
    Refused("ModelVersion", "no source", _without("ModelVersion", "source"), "spec.source"),
    _model("empty source", "spec.source", "one-of", source={}),
    _model("source without name", "spec.source.trainingRun.name", source={"trainingRun": {}}),
    _model("bad model name", "spec.model", model="wine_classifier"),
    _model("short model name", "spec.model", model="w"),
    _model("bad version", "spec.version", version="v 1"),
    _model("unknown task", "spec.metadata.tasks[0]", metadata={"tasks": ["guessing"]}),
    _model("bad place", "spec.metadata.bbox[0]", metadata={"bbox": [-181, 0, 0, 0]}),
)


@dataclass(frozen=True)
class Changed:
    """A change of an accepted manifest; ``says`` is what the refusal must name, None: it is accepted."""

    kind: str
    case: str
    before: Object
    change: Object  # members of spec; None removes one
    says: str | None

    @property
    def id(self) -> str:
        return f"{self.kind}: {self.case}"

    @property
    def after(self) -> Object:
        return {key: value for key, value in (self.before | self.change).items() if value is not None}


_OTHER: Object = {
    "experiment": "other",
    "source": {"git": GIT},
    "image": "other",
    "command": ["other"],
    "args": ["other"],
    "env": [{"name": "A", "value": "other"}],
    "envFrom": [],
    "workingDir": "/other",
    "parameters": {"learning_rate": 0.02},
    "datasets": [{"name": "other"}],
    "resources": {"limits": {"cpu": 1}},
    "accelerator": {"class": "other"},
    "profile": "other",
    "scheduling": {"nodeSelector": {"a": "b"}},
    "pod": {"imagePullPolicy": "Always"},
    "metrics": {"sources": []},
    "checkpoints": {"keep": 4},
    "resumeFrom": {"trainingRun": {"name": "other"}},
    "tracking": {"mlflow": {"uri": "http://mlflow"}},
    "workers": {"count": 1},
    "deadlineSeconds": 7200,
    "startDeadlineSeconds": 60,
    "retry": {"limit": 1},
    "outputs": {},
}
_RUN, _DATASET, _MODEL = FULL["TrainingRun"], FULL["TrainingDataset"], FULL["ModelVersion"]

CHANGED: tuple[Changed, ...] = (
    *(Changed("TrainingRun", f"{f} changed", _RUN, {f: v}, f"spec.{f}") for f, v in _OTHER.items()),
    *(
        Changed("TrainingRun", f"{field} removed", _RUN, {field: None}, f"spec.{field}")
        for field in _OTHER
        if field not in MINIMAL["TrainingRun"]
    ),
    *(
        Changed("TrainingRun", f"{f} added", MINIMAL["TrainingRun"], {f: _RUN[f]}, f"spec.{f}")
        for f in _OTHER
        if f not in MINIMAL["TrainingRun"]
    ),
    Changed("TrainingRun", "shown otherwise", _RUN, {"archived": True, "displayName": "First"}, None),
    Changed(
        "TrainingRun",
        "kept otherwise",
        _RUN | {"ttlSecondsAfterFinished": 0},
        {"ttlSecondsAfterFinished": 60},
        None,
    ),
    Changed("TrainingRun", "rerunOf", _RUN, {"rerunOf": {"name": "wine"}}, "spec.rerunOf"),
    Changed("TrainingRun", "suspended", _RUN, {"suspend": True}, None),
    Changed("TrainingRun", "resumed", _RUN | {"suspend": True}, {"suspend": False}, None),
    Changed("TrainingRun", "cancelled", _RUN, {"cancel": True}, None),
    Changed(
        "TrainingRun",
        "cancelled with other parameters",
        _RUN,
        {"cancel": True, "parameters": {"learning_rate": 0.02}},
        "spec.parameters",
    ),
    Changed("TrainingRun", "cancel taken back", _RUN | {"cancel": True}, {"cancel": False}, "spec.cancel"),
    Changed("TrainingRun", "cancel removed", _RUN | {"cancel": True}, {"cancel": None}, "spec.cancel"),
    Changed("TrainingRun", "the same again", _RUN, {}, None),
    Changed("TrainingDataset", "source changed alone", _DATASET, {"source": {"git": GIT}}, "spec.source"),
    Changed("TrainingDataset", "new version", _DATASET, {"version": "2024.2"}, None),
    Changed(
        "TrainingDataset", "new version elsewhere", _DATASET, {"version": "3", "source": {"git": GIT}}, None
    ),
    Changed("TrainingDataset", "new words", _DATASET, {"description": "Better.", "keywords": ["x"]}, None),
    Changed("ModelVersion", "model changed", _MODEL, {"model": "other"}, "spec.model"),
    Changed("ModelVersion", "version changed", _MODEL, {"version": "4"}, "spec.version"),
    Changed("ModelVersion", "version removed", _MODEL, {"version": None}, "spec.version"),
    Changed(
        "ModelVersion", "source changed", _MODEL, {"source": {"trainingRun": {"name": "o"}}}, "spec.source"
    ),
    Changed("ModelVersion", "new words", _MODEL, {"metadata": {"title": "Better"}}, None),
)
