"""The Git server: repositories with LFS, public and private."""

import json
import os
import secrets
import shutil
import subprocess
import tempfile
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import urllib3

from hack.cluster.errors import ClusterError
from hack.kubectl import Kubectl
from hack.services.objects import decoded
from hack.services.reach import Reach

NAMESPACE = "mlops-demo"
NAME = "gitea"
PORT = 3000
ADMIN_SECRET = "gitea-admin"  # noqa: S105  the Secret's name
REQUEST_SECONDS = 30.0
REFUSED_FROM = 400
BRANCH = "main"


@dataclass(frozen=True)
class GitCredentials:
    """What Git asks for; the password is a token that may only read repositories."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class GitService:
    """A Gitea in the cluster, with its administrator's rights."""

    kubectl: Kubectl
    reach: Reach
    admin: str
    admin_password: str = field(repr=False)

    @property
    def address(self) -> str:
        """The address that pods use; URLs of repositories begin with it."""
        return f"http://{NAME}.{NAMESPACE}.svc.cluster.local:{PORT}"

    @property
    def host_address(self) -> str:
        """The address that this machine uses."""
        return self.reach.address()

    def create_repository(self, owner: str, name: str, *, private: bool = False) -> str:
        """Make a repository, and its owner, where they do not exist, and give the URL that pods use.

        Raises
        ------
        ClusterError
            If the server refuses.
        """
        self._create_user(owner)
        if self._call("GET", f"/repos/{owner}/{name}", missing_ok=True) is None:
            wish = {"name": name, "private": private, "default_branch": BRANCH}
            self._call("POST", f"/admin/users/{owner}/repos", wish)
        else:
            self._call("PATCH", f"/repos/{owner}/{name}", {"private": private})
        return f"{self.address}/{owner}/{name}.git"

    def delete_repository(self, owner: str, name: str) -> None:
        """Remove a repository; nothing happens if there is none."""
        self._call("DELETE", f"/repos/{owner}/{name}", missing_ok=True)

    def read_credentials(self, owner: str) -> GitCredentials:
        """Give credentials that may read all repositories of an owner; each call makes new ones.

        Raises
        ------
        ClusterError
            If there is no such owner.
        """
        password = secrets.token_urlsafe(24)
        # An administrator cannot make another user's token; the user himself can, with his password.
        change = {"login_name": owner, "source_id": 0, "password": password, "must_change_password": False}
        self._call("PATCH", f"/admin/users/{owner}", change)
        wish = {"name": f"read-{secrets.token_hex(4)}", "scopes": ["read:repository"]}
        token = self._call("POST", f"/users/{owner}/tokens", wish, login=(owner, password))
        return GitCredentials(owner, str((token or {})["sha1"]))

    def push_folder(
        self, url: str, folder: Path, lfs_patterns: Sequence[str] = (), message: str = "Add the files"
    ) -> str:
        """Make the files of a folder the content of branch main, as a commit on top of what is there.

        Nothing is pushed when the content is already the same.

        Parameters
        ----------
        url
            What create_repository gave.
        folder
            Its files, not itself, are copied to the top of the repository.
        lfs_patterns
            Files that go to LFS, in .gitattributes' language.

        Returns
        -------
        str
            The commit that main is at, 40 hexadecimal digits.

        Raises
        ------
        ClusterError
            If git fails; the message carries what it said.
        """
        with tempfile.TemporaryDirectory() as work:
            git = _Git(Path(work) / "repository", self._host_environment())
            git.run("init", "--quiet", f"--initial-branch={BRANCH}", str(git.folder))
            git.run("remote", "add", "origin", url)
            git.run("fetch", "--quiet", "origin")
            if git.run("for-each-ref", f"refs/remotes/origin/{BRANCH}"):
                git.run("reset", "--quiet", "--soft", f"origin/{BRANCH}")
            git.run("lfs", "install", "--local", "--skip-smudge")
            shutil.copytree(folder, git.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".git"))
            for pattern in lfs_patterns:
                git.run("lfs", "track", pattern)
            git.run("add", "--all", "--force", ".")
            if git.run("status", "--porcelain"):
                git.run("commit", "--quiet", "--message", message)
                git.run("push", "--quiet", "origin", f"HEAD:{BRANCH}")
            return git.run("rev-parse", "HEAD")

    def tag(self, owner: str, name: str, tag: str, commit: str) -> None:
        """Put a tag on a commit."""
        self._call("POST", f"/repos/{owner}/{name}/tags", {"tag_name": tag, "target": commit})

    def _host_environment(self) -> dict[str, str]:
        login = b64encode(f"{self.admin}:{self.admin_password}".encode()).decode()
        # Through the environment: a command line is for everybody to read.
        settings = {
            f"url.{self.host_address}/.insteadOf": f"{self.address}/",
            "lfs.transfer.enablehrefrewrite": "true",
            "http.extraHeader": f"Authorization: Basic {login}",
            "lfs.locksverify": "false",
            "user.name": "The demo",
            "user.email": "demo@example.test",
            "commit.gpgsign": "false",
        }
        environment = {"GIT_CONFIG_COUNT": str(len(settings)), "GIT_TERMINAL_PROMPT": "0"}
        for number, (key, value) in enumerate(settings.items()):
            environment |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
        return environment

    def _create_user(self, name: str) -> None:
        if self._call("GET", f"/users/{name}", missing_ok=True) is not None:
            return
        self._call(
            "POST",
            "/admin/users",
            {
                "username": name,
                "email": f"{name}@example.test",
                "password": secrets.token_urlsafe(24),
                "must_change_password": False,
            },
        )

    def _call(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        missing_ok: bool = False,
        login: tuple[str, str] | None = None,
    ) -> dict[str, Any] | None:
        user, password = login or (self.admin, self.admin_password)
        answer = urllib3.request(
            method,
            f"{self.host_address}/api/v1{path}",
            json=body,
            headers=urllib3.make_headers(basic_auth=f"{user}:{password}"),
            timeout=REQUEST_SECONDS,
            retries=False,
        )
        if missing_ok and answer.status == HTTPStatus.NOT_FOUND:
            return None
        if answer.status >= REFUSED_FROM:
            said = answer.data.decode(errors="replace")[:500]
            raise ClusterError(f"The Git server refused {method} {path} with {answer.status}: {said}")
        content: dict[str, Any] = json.loads(answer.data) if answer.data else {}
        return content


@dataclass(frozen=True)
class _Git:
    folder: Path
    environment: dict[str, str] = field(repr=False)

    def run(self, *arguments: str) -> str:
        self.folder.mkdir(exist_ok=True)
        # Neither the user's nor the machine's configuration decides what is pushed.
        clean = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.folder,
            env=os.environ | clean | self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise ClusterError(f"`git {' '.join(arguments[:3])}` failed: {done.stderr.strip()[-1000:]}")
        return done.stdout.strip()


def connect_git(kubeconfig: Path) -> GitService:
    """Give the Git server of the demo.

    Raises
    ------
    ClusterError
        If it is not installed.
    """
    kubectl = Kubectl(kubeconfig)
    secret = kubectl.get("secret", ADMIN_SECRET, NAMESPACE)
    if secret is None:
        raise ClusterError("The demo's services are not installed: run `make services`.")
    keys = decoded(secret)
    return GitService(kubectl, Reach(kubectl, NAMESPACE, NAME, PORT), keys["USERNAME"], keys["PASSWORD"])
