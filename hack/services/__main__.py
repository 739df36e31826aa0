"""`python -m hack.services up|list`."""

import shlex
import sys

import typer

from hack.cluster.errors import ClusterError
from hack.images.errors import ImageError
from hack.kubectl import Kubectl, default_kubeconfig
from hack.services.install import addresses, install
from hack.services.objects import decoded
from hack.services.s3 import connect_s3
from hack.services.workspace import create_workspace

app = typer.Typer(help="The demo's S3 and Git servers.", no_args_is_help=True, add_completion=False)


@app.command()
def up() -> None:
    """Build, load and start them, and print their addresses."""
    install(default_kubeconfig())
    list_command()


@app.command("list")
def list_command() -> None:
    """Print their addresses for this machine."""
    for name, address in addresses(default_kubeconfig()).items():
        print(f"{name}: {address}")


@app.command()
def workspace(
    name: str = typer.Argument(help="Its name, such as ws-alice: of the namespace and the bucket."),
) -> None:
    """Make a workspace as a platform does: namespace, bucket, Secret, and the operator's rights there."""
    kubeconfig = default_kubeconfig()
    if Kubectl(kubeconfig).get("secret", f"{name}-datalab", name) is not None:
        print(f"Workspace {name} is there.")
        return
    made = create_workspace(name, connect_s3(kubeconfig))
    print(f"Made namespace {name}, bucket {made.credentials.bucket} and Secret {made.secret_name}.")


@app.command()
def credentials(name: str = typer.Argument(help="Name of a workspace.")) -> None:
    """Print a workspace's credentials for this machine's S3 clients: eval "$(… credentials ws-alice)"."""
    kubeconfig = default_kubeconfig()
    secret = Kubectl(kubeconfig).get("secret", f"{name}-datalab", name)
    if secret is None:
        raise ClusterError(
            f"There is no workspace {name}: `python -m hack.services workspace {name}` makes it."
        )
    values = decoded(secret) | {"AWS_ENDPOINT_URL": connect_s3(kubeconfig).host_endpoint}
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "AWS_REGION"):
        print(f"export {key}={shlex.quote(values[key])}")


def main() -> None:
    """Run the command; an error that the user can act on is one sentence."""
    try:
        app()
    except (ImageError, ClusterError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
