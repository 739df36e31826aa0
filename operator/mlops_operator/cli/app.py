"""The commands."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from mlops_operator.api.base import Scalar
from mlops_operator.cli.cluster import Cluster
from mlops_operator.cli.compare import compare as compare_runs
from mlops_operator.cli.curves import draw, read_curves
from mlops_operator.cli.errors import CliError, ClusterError
from mlops_operator.cli.filters import parse_field, parse_filter, parse_order
from mlops_operator.cli.follow import follow as follow_run
from mlops_operator.cli.follow import show_log
from mlops_operator.cli.manifests import Object, Rerun, Submission, named, rerun_names
from mlops_operator.cli.models import model_versions
from mlops_operator.cli.options import placed
from mlops_operator.cli.output import (
    Output,
    print_document,
    print_names,
    print_object,
    print_runs,
    print_table,
    show,
)
from mlops_operator.cli.runs import Place
from mlops_operator.storage.history import identity_of

_EXIT_CODES = (
    "Exit codes: 0 done; 1 it could not be done, with a sentence on standard error; 2 a wrong option; 3 the run that was"
    " followed failed; 4 it was cancelled."
)

app = typer.Typer(
    name="kubectl mlops",
    help=f"""Training runs as people work with them: list, compare, follow, run again.

    Runs that have ended are in the workspace's bucket: they are shown after their resources, and even the cluster,
    have gone.

    {_EXIT_CODES}""",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def complete_run(ctx: typer.Context, incomplete: str) -> list[str]:
    """Give the names of runs for the shell."""
    given = ctx.params.get
    cluster = Cluster(given("namespace"), given("context"), given("kubeconfig"))
    try:
        names = [run["metadata"]["name"] for run in cluster.runs()]
    except ClusterError:
        return []
    return [name for name in names if name.startswith(incomplete)]


_Output = Annotated[Output, typer.Option("--output", "-o", help="Form of the output.")]
_Run = Annotated[str, typer.Argument(help="Name of a run.", autocompletion=complete_run)]
_Runs = Annotated[list[str], typer.Argument(help="Names of runs.", autocompletion=complete_run)]


@app.command("list")
@placed
def list_runs(
    place: Place,
    *,
    filter_: Annotated[
        str, typer.Option("--filter", "-f", help="Comparisons joined by AND, as in MLflow.")
    ] = "",
    experiment: Annotated[
        str | None, typer.Option("--experiment", "-e", help="Only runs of this one.")
    ] = None,
    order_by: Annotated[list[str], typer.Option(help="NAME [DESC]; may be given again.")] = [],  # noqa: B006
    columns: Annotated[str, typer.Option(help="Further columns, such as params.lr,metrics.accuracy.")] = "",
    all_: Annotated[bool, typer.Option("--all", "-a", help="Archived runs, too.")] = False,
    limit: Annotated[int, typer.Option(min=0, help="At most so many; 0: all.")] = 0,
    output: _Output = Output.TABLE,
) -> None:
    """List runs, the newest first: those of the cluster, and those that only the bucket still has.

    Try:

    * `kubectl mlops list`

    * `kubectl mlops list --experiment wine --order-by 'metrics.accuracy desc' --limit 5`

    * `kubectl mlops list --filter 'metrics.accuracy > 0.9 and params.learning_rate = 0.1'`

    * `kubectl mlops list --filter "phase = 'Failed' and reason in ('OOMKilled', 'Evicted')" -o wide`

    * `kubectl mlops list --bucket s3://ws-alice --endpoint https://s3.example.org`
    """
    wanted = parse_filter(filter_)
    sort = parse_order(order_by)
    shown = [parse_field(text) for text in columns.split(",") if text.strip()]
    found = place.all()
    live = frozenset(run.entry.uid for run in found if run.live is not None)
    entries = [
        run.entry
        for run in found
        if (all_ or not run.entry.archived)
        and experiment in (None, run.entry.experiment)
        and wanted.matches(run.entry)
    ]
    entries = sort(entries)[: limit or None]
    # What is filtered by is worth seeing.
    shown += [field for field in wanted.fields if field.group and field not in shown]
    print_runs(entries, live, shown, output)


@app.command("show")
@placed
def show_run(place: Place, *, run: _Run, output: _Output = Output.YAML) -> None:
    """Show one run whole: as the cluster has it, or as it was recorded in the bucket."""
    found = place.one(run)
    if output in (Output.TABLE, Output.WIDE):
        live = frozenset({found.entry.uid} if found.live else ())
        print_runs([found.entry], live, [], output)
    elif output is Output.NAME:
        print_names("trainingrun", [found.entry.name])
    else:
        print_object(place.whole(found), output, "")


@app.command()
@placed
def compare(
    place: Place,
    *,
    runs: _Runs,
    differing: Annotated[bool, typer.Option("--differing", "-d", help="Only what differs.")] = False,
    output: _Output = Output.TABLE,
) -> None:
    """Show runs side by side; what differs has a star.

    Try:

    * `kubectl mlops compare wine wine-r2 wine-r3`

    * `kubectl mlops compare wine wine-r2 --differing -o json`
    """
    entries = [place.one(name).entry for name in runs]
    rows = [row for row in compare_runs(entries) if row.differs or not differing]
    if output is Output.NAME:
        print_names("trainingrun", [entry.name for entry in entries])
    elif output in (Output.JSON, Output.YAML):
        items = [
            {"group": row.group, "name": row.name, "values": list(row.values), "differs": row.differs}
            for row in rows
        ]
        print_document({"runs": [entry.name for entry in entries], "rows": items}, output)
    else:
        lines: list[list[str | Text]] = []
        for row in rows:
            style = "bold" if row.differs else ""
            values = [Text(show(value), style=style) for value in row.values]
            lines.append(["*" if row.differs else "", f"{row.group}.{row.name}", *values])
        print_table(["", "what", *(entry.name for entry in entries)], lines)


@app.command()
@placed
def curves(
    place: Place,
    *,
    runs: _Runs,
    metric: Annotated[list[str], typer.Option("--metric", "-m", help="Only these; may be given again.")] = [],  # noqa: B006
    output: _Output = Output.TABLE,
) -> None:
    """Draw the curves of the metrics in the terminal; of a run that still trains, too.

    Try:

    * `kubectl mlops curves wine --metric loss`

    * `kubectl mlops curves wine wine-r2 -m loss -o json > loss.json`
    """
    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for name in runs:
        run = place.one(name)
        tracking = ((run.live or {}).get("status") or {}).get("tracking") or {}
        of_run = read_curves(place.bucket, identity_of(run.entry).prefix, tracking.get("runId"))
        unknown = [wish for wish in metric if wish not in of_run]
        if unknown:
            there = ", ".join(of_run) or "none yet"
            raise CliError(
                f"the run {name} has no metric {', '.join(unknown)} in the bucket; it has: {there}"
            )
        found[run.entry.name] = {key: of_run[key] for key in metric or of_run}
    if output is Output.NAME:
        print_names("trainingrun", list(found))
    elif output in (Output.JSON, Output.YAML):
        print_document(
            {
                name: {key: [{"step": x, "value": y} for x, y in curve] for key, curve in of_run.items()}
                for name, of_run in found.items()
            },
            output,
        )
    else:
        drawn = {
            (key if len(found) == 1 else f"{name} {key}"): curve
            for name, of_run in found.items()
            for key, curve in of_run.items()
        }
        if not drawn:
            raise CliError(
                "the bucket has no metrics of these runs yet: they appear while the training logs them"
            )
        typer.echo(draw(drawn, ", ".join(found)))


@app.command()
@placed
def follow(place: Place, *, run: _Run) -> None:
    """Follow a run to its end: its phases on standard error, what it prints on standard output.

    The exit code tells the outcome: 0 Succeeded, 3 Failed, 4 Cancelled.

    Try `kubectl mlops follow wine && echo trained`
    """
    raise typer.Exit(follow_run(place, run))


@app.command()
@placed
def logs(
    place: Place,
    *,
    run: _Run,
    following: Annotated[bool, typer.Option("--follow", "-f", help="Until the run ends.")] = False,
    attempt: Annotated[int | None, typer.Option(min=1, help="Of this attempt; default: the last.")] = None,
) -> None:
    """Print what a run printed: from its pod, or from the bucket when that has gone."""
    raise typer.Exit(show_log(place, run, attempt, following=following))


@app.command()
@placed
def rerun(
    place: Place,
    *,
    run: _Run,
    set_: Annotated[
        list[str], typer.Option("--set", "-s", help="NAME=VALUE: change a parameter; may be given again.")
    ] = [],  # noqa: B006
    add: Annotated[list[str], typer.Option(help="NAME=VALUE: a parameter that the run has not.")] = [],  # noqa: B006
    name: Annotated[str | None, typer.Option(help="Name of the new run; default: RUN-r2, RUN-r3, …")] = None,
    latest: Annotated[
        bool, typer.Option(help="With the newest data and code, not those that the run had.")
    ] = False,
    exact_image: Annotated[
        bool, typer.Option(help="With the image by the digest that the run had, not by its tag.")
    ] = False,
    dry_run: Annotated[bool, typer.Option(help="Print the manifest, make nothing.")] = False,
    following: Annotated[bool, typer.Option("--follow", help="Then follow it.")] = False,
    output: _Output = Output.TABLE,
) -> None:
    """Run a run again: the same commit, versions of datasets and parameters, but for what is set.

    It takes the run from the bucket if the resource is gone. The new run says where it comes from (spec.rerunOf).

    Try:

    * `kubectl mlops rerun wine`

    * `kubectl mlops rerun wine --set learning_rate=0.1 --follow`

    * `kubectl mlops rerun wine --latest --dry-run -o yaml > wine-next.yaml`
    """
    cluster = place.need_cluster("run again")
    old = place.whole(place.one(run))
    spec = Rerun(set_, add, latest, exact_image).spec(old)
    names = iter([name]) if name else rerun_names(old["metadata"]["name"])
    if dry_run:
        _print_manifest(named(next(names), spec), output)
        return
    for wish in names:
        made = cluster.create(named(wish, spec))
        if made is not None:
            _made(place, made, following=following, output=output)
            return
    raise CliError(f"there is a run {name} already: choose another --name")


@app.command()
@placed
def submit(
    place: Place,
    *,
    script: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="The Python script that trains.")
    ],
    args: Annotated[list[str] | None, typer.Argument(help="Arguments of the script, after `--`.")] = None,
    image: Annotated[str, typer.Option(help="Image with what the script imports.")],
    name: Annotated[str | None, typer.Option(help="Name of the run; default: made of the script's.")] = None,
    param: Annotated[list[str], typer.Option("--param", "-p", help="NAME=VALUE; may be given again.")] = [],  # noqa: B006
    dataset: Annotated[list[str], typer.Option("--dataset", "-d", help="NAME or NAME:VERSION.")] = [],  # noqa: B006
    file: Annotated[list[Path], typer.Option(help="A further file that the script needs.")] = [],  # noqa: B006
    experiment: Annotated[str | None, typer.Option("--experiment", "-e", help="Experiment.")] = None,
    model: Annotated[str | None, typer.Option(help="Register what it makes as this model.")] = None,
    env: Annotated[list[str], typer.Option(help="NAME=VALUE of the environment.")] = [],  # noqa: B006
    cpu: Annotated[str | None, typer.Option(help="CPUs, such as 2 or 500m.")] = None,
    memory: Annotated[str | None, typer.Option(help="Memory, such as 4Gi.")] = None,
    accelerator: Annotated[
        str | None, typer.Option(help="CLASS or CLASS:COUNT, such as gpu-large:2.")
    ] = None,
    deadline: Annotated[int | None, typer.Option(min=1, help="Seconds that it may train.")] = None,
    dry_run: Annotated[bool, typer.Option(help="Print the manifest, make nothing.")] = False,
    following: Annotated[bool, typer.Option("--follow", help="Then follow it.")] = False,
    output: _Output = Output.TABLE,
) -> None:
    """Train a script with one command; it goes into the manifest (32 KiB at most).

    Try:

    * `kubectl mlops submit train.py --image python-ml:1 --dataset wine --param learning_rate=0.01 --model wine`

    * `kubectl mlops submit train.py --image python-ml:1 --follow -- --epochs 3`

    * `kubectl mlops submit train.py --image python-ml:1 --dry-run -o yaml > run.yaml`
    """
    manifest = Submission(
        script=script,
        image=image,
        name=name,
        files=file,
        parameters=param,
        datasets=dataset,
        experiment=experiment,
        model=model,
        env=env,
        cpu=cpu,
        memory=memory,
        accelerator=accelerator,
        deadline_seconds=deadline,
        args=args or [],
    ).manifest()
    if dry_run:
        _print_manifest(manifest, output)
        return
    made = place.need_cluster("submit").create(manifest)
    if made is None:
        raise CliError(f"there is a run {name} already: choose another --name")
    _made(place, made, following=following, output=output)


@app.command()
@placed
def suspend(place: Place, *, runs: _Runs, output: _Output = Output.TABLE) -> None:
    """Stop runs so that they can go on later, from their last checkpoint."""
    _change(place, runs, {"suspend": True}, "is being suspended", output)


@app.command()
@placed
def resume(place: Place, *, runs: _Runs, output: _Output = Output.TABLE) -> None:
    """Let suspended runs go on."""
    _change(place, runs, {"suspend": False}, "goes on", output)


@app.command()
@placed
def cancel(place: Place, *, runs: _Runs, output: _Output = Output.TABLE) -> None:
    """Stop runs for good. What they wrote is kept."""
    _change(place, runs, {"cancel": True}, "is being cancelled", output)


@app.command()
@placed
def archive(
    place: Place,
    *,
    runs: _Runs,
    undo: Annotated[bool, typer.Option("--undo", help="Show them in lists again.")] = False,
    output: _Output = Output.TABLE,
) -> None:
    """Leave runs out of lists. Nothing is removed."""
    _change(place, runs, {"archived": not undo}, "is shown again" if undo else "is archived", output)


@app.command()
@placed
def models(
    place: Place,
    *,
    model: Annotated[str | None, typer.Argument(help="Only this model.")] = None,
    output: _Output = Output.TABLE,
) -> None:
    """List models and their versions."""
    rows = model_versions(place, model)
    if output is Output.NAME:
        print_names("modelversion", [f"{row['model']}.{row['version']}" for row in rows])
    elif output in (Output.JSON, Output.YAML):
        print_document({"kind": "ModelList", "items": rows}, output)
    else:
        titles = ["model", "version", "phase", "run"] + (["digest", "uri"] if output is Output.WIDE else [])
        print_table(titles, [[show(row[title]) for title in titles] for row in rows])


def _change(place: Place, names: list[str], spec: dict[str, Scalar], sentence: str, output: Output) -> None:
    cluster = place.need_cluster("change")
    for name in names:
        changed = cluster.patch_run(name, spec)
        ((field, value),) = spec.items()
        if (changed["spec"].get(field) or False) != value:
            raise CliError(
                f"the cluster's TrainingRuns have no spec.{field}: its operator is older than this plugin"
            )
        print_object(changed, output, f"{name} {sentence}")


def _print_manifest(manifest: Object, output: Output) -> None:
    print_document(manifest, Output.JSON if output is Output.JSON else Output.YAML)


def _made(place: Place, made: Object, *, following: bool, output: Output) -> None:
    name = made["metadata"]["name"]
    print_object(made, output, name)
    sys.stdout.flush()
    if following:
        raise typer.Exit(follow_run(place, name))
