"""A script with the calls that training code makes of MLflow; run by each version of the client, and held by asserts.

Lightning's and Hugging Face's loggers are too large to install for this: what they call is written out here, from their
code (lightning.pytorch.loggers.MLFlowLogger, transformers.integrations.MLflowCallback).
"""

import math
import os
import sys
import threading
from pathlib import Path

import mlflow
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow.utils.time import get_current_time_millis

MAJOR = int(mlflow.__version__.split(".")[0])
client = MlflowClient()


def fluent() -> None:
    """Log everything with the fluent API, then read it back."""
    experiment = mlflow.set_experiment("wine")
    assert mlflow.get_experiment_by_name("wine").experiment_id == experiment.experiment_id
    assert [e.name for e in mlflow.search_experiments()]
    with mlflow.start_run(run_name="outer", tags={"team": "eo"}, description="what it is") as run:
        mlflow.log_param("lr", 0.1)
        mlflow.log_params({f"p{n}": n for n in range(250)})
        mlflow.log_metric("loss", 0.5, step=0)
        mlflow.log_metrics({"loss": 0.25, "f1": 0.75}, step=1)
        mlflow.log_metric("nan", math.nan)
        mlflow.log_metric("inf", math.inf)
        mlflow.log_metric("-inf", -math.inf)
        mlflow.set_tags({"a": "1", "b": "2"})
        mlflow.set_tag("mlflow.note.content", "a note")
        mlflow.delete_tag("b")
        Path("notes.txt").write_text("kept")
        Path("folder").mkdir(exist_ok=True)
        Path("folder/deep.txt").write_text("deep")
        mlflow.log_artifact("notes.txt")
        mlflow.log_artifacts("folder", artifact_path="below")
        mlflow.log_dict({"a": 1}, "config.json")
        mlflow.log_text("text", "below/text.txt")
        assert mlflow.artifacts.load_text(f"{run.info.artifact_uri}/below/text.txt") == "text"
        assert {f.path for f in client.list_artifacts(run.info.run_id)} >= {
            "notes.txt",
            "below",
            "config.json",
        }
        with mlflow.start_run(run_name="inner", nested=True) as inner:
            mlflow.log_metric("loss", 9.0)
        assert client.get_run(inner.info.run_id).data.tags["mlflow.parentRunId"] == run.info.run_id
        for value in (0.1, "0.2"):
            try:
                mlflow.log_param("lr", value)
            except MlflowException as error:
                assert value == "0.2" and "Changing param values is not allowed" in str(error), error
            else:
                assert value == 0.1, "a parameter cannot change"
    found = mlflow.get_run(run.info.run_id)
    assert found.info.status == "FINISHED"
    assert found.data.params["lr"] == "0.1" and len(found.data.params) == 251
    assert found.data.metrics["loss"] == 0.25 and math.isnan(found.data.metrics["nan"])
    assert found.data.metrics["inf"] == math.inf and found.data.metrics["-inf"] == -math.inf
    assert found.data.tags["a"] == "1" and "b" not in found.data.tags
    assert [m.value for m in client.get_metric_history(run.info.run_id, "loss")] == [0.5, 0.25]
    runs = client.search_runs([experiment.experiment_id], "tags.team = 'eo' and metrics.loss < 0.3")
    assert [r.info.run_id for r in runs] == [run.info.run_id]
    client.delete_run(inner.info.run_id)
    assert inner.info.run_id not in {r.info.run_id for r in client.search_runs([experiment.experiment_id])}
    assert client.get_run(inner.info.run_id).info.lifecycle_stage == "deleted"
    client.restore_run(inner.info.run_id)
    assert inner.info.run_id in {r.info.run_id for r in client.search_runs([experiment.experiment_id])}
    try:
        with mlflow.start_run(run_name="failed"):
            raise ValueError
    except ValueError:
        pass
    assert mlflow.last_active_run().info.status == "FAILED"


def large() -> None:
    """Large batches, long values, threads."""
    with mlflow.start_run(run_name="large") as run:
        now = get_current_time_millis()
        metrics = [Metric(f"m{n % 200}", n, now, n // 200) for n in range(1000)]
        client.log_batch(run.info.run_id, metrics=metrics, tags=[RunTag("t", "v")])
        client.log_batch(run.info.run_id, params=[Param(f"q{n}", "x") for n in range(100)])
        mlflow.set_tag("long", "x" * 4000)
        mlflow.log_param("long", "y" * 500)

        def log(number: int) -> None:
            for step in range(50):
                client.log_metric(run.info.run_id, f"thread{number}", step, step=step)

        threads = [threading.Thread(target=log, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for number in range(8):
            history = client.get_metric_history(run.info.run_id, f"thread{number}")
            assert [m.step for m in history] == list(range(50))
        data = client.get_run(run.info.run_id).data
        assert (
            data.metrics["m199"] == 999 and len(data.tags["long"]) == 4000 and len(data.params["long"]) == 500
        )


def system_metrics() -> None:
    """What mlflow.system_metrics logs, by its names."""
    with mlflow.start_run(run_name="system") as run:
        mlflow.log_metrics({"system/cpu_utilization_percentage": 12.5, "system/gpu_0_memory": 3.0}, step=0)
        assert "system/gpu_0_memory" in client.get_run(run.info.run_id).data.metrics


def datasets() -> None:
    """A data set of a run, as log_input sends it."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    with mlflow.start_run(run_name="inputs") as run:
        dataset = Dataset(
            name="wine", digest="abc", source_type="http", source="{}", schema="{}", profile="{}"
        )
        inputs = [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])]
        if MAJOR >= 3:
            client.log_inputs(run.info.run_id, datasets=inputs)
        else:
            client.log_inputs(run.info.run_id, inputs)
        (found,) = client.get_run(run.info.run_id).inputs.dataset_inputs
        assert found.dataset.name == "wine" and found.tags[0].value == "training"


class Model(mlflow.pyfunc.PythonModel if os.environ.get("WITH_MODELS") else object):
    def predict(self, context, model_input, params=None):
        return model_input


def models() -> None:
    """Models and the registry."""
    with mlflow.start_run(run_name="models") as run:
        name = {"name": "pyfunc"} if MAJOR >= 3 else {"artifact_path": "pyfunc"}
        logged = mlflow.pyfunc.log_model(python_model=Model(), pip_requirements=[], **name)
        version = mlflow.register_model(logged.model_uri, "wine")
        again = mlflow.register_model(logged.model_uri, "wine")
        assert (version.version, again.version) in (("1", "2"), (1, 2)), (version, again)
        client.set_registered_model_alias("wine", "champion", again.version)
        assert str(client.get_model_version_by_alias("wine", "champion").version) == "2"
        client.set_model_version_tag("wine", "1", "a", "b")
        client.update_model_version("wine", "1", description="first")
        assert client.get_model_version("wine", "1").tags == {"a": "b"}
        assert {str(v.version) for v in client.search_model_versions("name='wine'")} == {"1", "2"}
        assert client.get_registered_model("wine").name == "wine"
        assert mlflow.pyfunc.load_model(logged.model_uri) is not None
    if MAJOR >= 3:
        model = mlflow.get_logged_model(logged.model_id)
        assert model.status == "READY" and model.source_run_id == run.info.run_id
        assert client.get_run(run.info.run_id).outputs.model_outputs[0].model_id == logged.model_id
        mlflow.set_logged_model_tags(logged.model_id, {"x": "y"})
        assert mlflow.get_logged_model(logged.model_id).tags["x"] == "y"
        found = mlflow.search_logged_models(filter_string="name = 'pyfunc'", output_format="list")
        assert logged.model_id in [m.model_id for m in found]
        mlflow.log_metric("accuracy", 0.5, model_id=logged.model_id)


def traces() -> None:
    """Traces are refused, and that stops nothing."""
    if MAJOR < 3:
        return

    @mlflow.trace
    def work(x: int) -> int:
        return x + 1

    assert work(1) == 2
    mlflow.flush_trace_async_logging()


def lightning() -> None:
    """lightning.pytorch.loggers.MLFlowLogger(experiment_name, log_model=True)."""
    from mlflow.tracking.context.registry import resolve_tags

    lightning_client = MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
    experiment = lightning_client.get_experiment_by_name("lightning_logs")
    if experiment is not None and experiment.lifecycle_stage != "deleted":
        experiment_id = experiment.experiment_id
    else:
        experiment_id = lightning_client.create_experiment(name="lightning_logs", artifact_location=None)
    tags = resolve_tags({"mlflow.runName": "lightning"})
    run = lightning_client.create_run(experiment_id=experiment_id, tags=tags)
    run_id = run.info.run_id
    params = [Param(key=f"model/{n}", value="1" * 250) for n in range(150)]
    for start in range(0, len(params), 100):
        lightning_client.log_batch(run_id=run_id, params=params[start : start + 100])
    stamp = get_current_time_millis()
    for step in range(3):
        metrics = [Metric(key="train_loss", value=1.0 / (step + 1), timestamp=stamp, step=step)]
        metrics.append(Metric(key="epoch", value=0, timestamp=stamp, step=step))
        lightning_client.log_batch(run_id=run_id, metrics=metrics)
    Path("epoch=0.ckpt").write_bytes(b"weights")
    lightning_client.log_artifact(run_id, "epoch=0.ckpt", "model/checkpoints/epoch=0")
    lightning_client.set_terminated(run_id, "FINISHED")
    assert lightning_client.get_run(run_id).info.status == "FINISHED"


def hugging_face() -> None:
    """transformers.integrations.MLflowCallback, HF_MLFLOW_LOG_ARTIFACTS=1."""
    mlflow.set_experiment("trainer")
    mlflow.start_run(run_name="trainer", nested=False)
    items = [(f"arg_{n}", "None") for n in range(180)]
    for start in range(0, len(items), mlflow.utils.validation.MAX_PARAMS_TAGS_PER_BATCH):
        mlflow.log_params(dict(items[start : start + mlflow.utils.validation.MAX_PARAMS_TAGS_PER_BATCH]))
    for step in (10, 20):
        kwargs = {"metrics": {"loss": 1.0 / step, "learning_rate": 1e-5, "epoch": 0.1}, "step": step}
        mlflow.log_metrics(**kwargs, **({"synchronous": False} if MAJOR >= 3 else {}))
    if hasattr(mlflow, "flush_async_logging"):
        mlflow.flush_async_logging()
    Path("checkpoint-20").mkdir(exist_ok=True)
    Path("checkpoint-20/trainer_state.json").write_text("{}")
    mlflow.log_artifacts("checkpoint-20", "model")
    run_id = mlflow.active_run().info.run_id
    mlflow.end_run()
    assert client.get_run(run_id).data.metrics["loss"] == 0.05


fluent()
large()
system_metrics()
datasets()
traces()
lightning()
hugging_face()
if os.environ.get("WITH_MODELS"):
    models()
print("all calls were answered", file=sys.stderr)
