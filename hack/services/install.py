"""Install the services, or bring them up to date."""

import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from configparser import ConfigParser
from io import StringIO
from pathlib import Path
from typing import Any

import yaml

from hack.cluster.places import HERE, NODE
from hack.images.build import build
from hack.images.catalogue import chosen
from hack.images.load import load
from hack.images.progress import step
from hack.kubectl import Kubectl
from hack.services import git, s3
from hack.services.objects import secret
from hack.services.storage import Claim, Ephemeral, Folder, Storage, with_storage

MANIFESTS = Path(__file__).parent / "manifests"
IMAGES = ["versitygw", "gitea"]
# Says in the pod which content a fixed tag stood for, so that a new one restarts it.
KEY_ANNOTATION = "mlops-demo/image-key"
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


def storage_of(kubectl: Kubectl) -> Storage:
    """Choose where the services keep their data: a storage class, this machine's folder, or nowhere."""
    classes = kubectl.list("storageclasses")
    if any(c["metadata"].get("annotations", {}).get(DEFAULT_CLASS) == "true" for c in classes):
        return Claim()
    nodes = [node["metadata"]["name"] for node in kubectl.list("nodes")]
    # Beside the cluster's own data: it goes when the cluster goes.
    return Folder(HERE.cluster / "services") if nodes == [NODE] else Ephemeral()


def gitea_configuration() -> str:
    """Write Gitea's app.ini with new keys of its own."""
    sections: dict[str, dict[str, str]] = {
        "DEFAULT": {"APP_NAME": "Demo", "RUN_MODE": "prod", "RUN_USER": "git", "WORK_PATH": "/data"},
        "server": {
            "HTTP_PORT": str(git.PORT),
            "ROOT_URL": f"http://{git.NAME}.{git.NAMESPACE}.svc.cluster.local:{git.PORT}/",
            "STATIC_ROOT_PATH": "/usr/local/share/gitea",
            "LFS_START_SERVER": "true",
            "LFS_JWT_SECRET": _key(),
            "DISABLE_SSH": "true",
            "OFFLINE_MODE": "true",
        },
        "database": {"DB_TYPE": "sqlite3", "PATH": "/data/gitea.db"},
        "security": {
            "INSTALL_LOCK": "true",
            "SECRET_KEY": secrets.token_hex(32),
            "INTERNAL_TOKEN": secrets.token_hex(32),
        },
        "oauth2": {"JWT_SECRET": _key()},
        "service": {"DISABLE_REGISTRATION": "true"},
        "repository": {"DEFAULT_BRANCH": git.BRANCH},
        "actions": {"ENABLED": "false"},
        "packages": {"ENABLED": "false"},
        "log": {"MODE": "console", "LEVEL": "Warn"},
    }
    parser = ConfigParser(default_section="", interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # keys keep their case
    lines = "".join(f"{key} = {value}\n" for key, value in sections.pop("DEFAULT").items())
    parser.read_dict(sections)
    text = StringIO()
    parser.write(text)
    return lines + text.getvalue()


def _key() -> str:
    return urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")


def secrets_of(kubectl: Kubectl) -> list[dict[str, Any]]:
    """Give the services' Secrets that do not exist yet, with new values."""
    wanted: dict[str, dict[str, str]] = {
        s3.ROOT_SECRET: {"ROOT_ACCESS_KEY": "root", "ROOT_SECRET_KEY": secrets.token_urlsafe(30)},
        git.ADMIN_SECRET: {"USERNAME": "administrator", "PASSWORD": secrets.token_urlsafe(30)},
        "gitea-configuration": {"app.ini": gitea_configuration()},
    }
    return [
        secret(s3.NAMESPACE, name, values)
        for name, values in wanted.items()
        if kubectl.get("secret", name, s3.NAMESPACE) is None
    ]


def manifests(images: Mapping[str, str], keys: Mapping[str, str], storage: Storage) -> list[dict[str, Any]]:
    """Read the services' manifests with their images and their storage.

    Parameters
    ----------
    images
        Image name → the reference under which the cluster has it.
    keys
        Image name → its content key.
    """
    objects = []
    for path in sorted(MANIFESTS.glob("*.yaml")):
        for manifest in yaml.safe_load_all(path.read_text()):
            if manifest["kind"] == "Deployment":
                template = manifest["spec"]["template"]
                pod = template["spec"]
                for container in [*pod.get("initContainers", []), *pod["containers"]]:
                    name = container["image"].rpartition(":")[0]
                    container["image"] = images[name]
                    template["metadata"]["annotations"] = {KEY_ANNOTATION: keys[name]}
            objects += with_storage(manifest, storage)
    return objects


def install(kubeconfig: Path) -> None:
    """Install the services and wait until they answer; nothing restarts when nothing has changed.

    Raises
    ------
    ClusterError
        If the cluster refuses something or a service does not come up.
    """
    kubectl = Kubectl(kubeconfig)
    built = build(chosen(IMAGES))
    references = load(built)
    keys = {image.image.name: image.key for image in built}
    storage = storage_of(kubectl)
    if isinstance(storage, Ephemeral):
        print(
            "This cluster has no default storage class: the demo's services forget all when their pods end."
        )
    objects = manifests(references, keys, storage)
    namespaces = [found for found in objects if found["kind"] == "Namespace"]
    with step("apply the demo's services"):
        kubectl.apply(namespaces)
        kubectl.apply([*secrets_of(kubectl), *(found for found in objects if found["kind"] != "Namespace")])
    with step("wait for S3 and Git"):
        for name in ("s3", git.NAME):
            where = ("--namespace", s3.NAMESPACE)
            kubectl.run(*where, "rollout", "status", f"deployment/{name}", "--timeout=180s")


def addresses(kubeconfig: Path) -> dict[str, str]:
    """Give service → its address for this machine."""
    return {
        "s3": s3.connect_s3(kubeconfig).host_endpoint,
        "git": git.connect_git(kubeconfig).host_address,
    }
