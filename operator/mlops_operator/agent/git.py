"""Git, by its command line: a ref made a commit, a checkout without history, files kept in LFS.

The program runs with an environment of its own: no prompts, no configuration but ours, HTTP and HTTPS only, and
credentials by a helper that reads the mounted files and answers for one host. No secret enters a command line, a URL
or the log.
"""

from __future__ import annotations

import logging
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from mlops_operator.api.sources import GitSource
from mlops_operator.errors import SourceNotFound

_log = logging.getLogger(__name__)

_COMMIT = re.compile(r"^[0-9a-f]{40}$")
_ABBREVIATED = re.compile(r"^[0-9a-f]{7,39}$")
_LIST_SECONDS = 90
_FETCH_SECONDS = 3600
_PATIENCE_SECONDS = 60.0
_POINTER = b"version https://git-lfs.github.com/spec/v1"
_MAX_POINTER_BYTES = 1024

_NEEDS_CREDENTIALS = re.compile(
    r"could not read (Username|Password)|terminal prompts disabled|Authentication failed|HTTP 401|error: 401"
    r"|Authorization error|Authentication required|HTTP Basic: Access denied|Credentials for .* not found",
    re.IGNORECASE,
)
_DENIED = re.compile(r"error: 403|HTTP 403|Access denied|not allowed to", re.IGNORECASE)
_NO_REPOSITORY = re.compile(
    r"repository .* not found|error: 404|not valid: is this a git repository|does not appear to be a git",
    re.IGNORECASE,
)
_NO_COMMIT = re.compile(
    r"not our ref|no such remote ref|couldn't find remote ref|unadvertised object|did not send all necessary"
    r"|reference is not a tree|bad object|server does not allow request",
    re.IGNORECASE,
)
_FULL = re.compile(r"No space left on device|Disk quota exceeded", re.IGNORECASE)
_UNREACHABLE = re.compile(
    r"could not resolve host|failed to connect|connection (refused|reset|timed out)|couldn't connect"
    r"|empty reply|error: 5\d\d|timed out|operation too slow|early EOF|hung up|Recv failure",
    re.IGNORECASE,
)

_CONFIGURATION = """\
[core]
	hooksPath = /dev/null
	bigFileThreshold = 8m
	packedGitLimit = 32m
	packedGitWindowSize = 8m
	deltaBaseCacheLimit = 16m
[pack]
	threads = 1
	windowMemory = 16m
[index]
	threads = false
[gc]
	auto = 0
[maintenance]
	auto = false
[protocol]
	allow = never
[protocol "http"]
	allow = always
[protocol "https"]
	allow = always
[http]
	lowSpeedLimit = 1000
	lowSpeedTime = 60
[advice]
	detachedHead = false
[init]
	defaultBranch = main
[safe]
	directory = *
[lfs]
	concurrenttransfers = 4
	basictransfersonly = true
[filter "lfs"]
	clean = git-lfs clean -- %f
	smudge = git-lfs smudge -- %f
	process = git-lfs filter-process
	required = true
"""


class GitFailed(Exception):  # noqa: N818
    """A command of Git failed; ``output`` is what it said."""

    def __init__(self, action: str, output: str) -> None:
        super().__init__(f"git {action}: {output}")
        self.action = action
        self.output = output


@dataclass(frozen=True)
class Git:
    """Runs Git for one repository.

    Parameters
    ----------
    source
        The repository.
    home
        A writable folder that holds the configuration.
    """

    source: GitSource
    home: Path

    def resolve(self) -> str:
        """Give the full commit of the source's ref.

        Raises
        ------
        SourceNotFound
            The repository or the ref is not there, or the repository needs credentials; the message says which.
        """
        ref = self.source.ref
        if _COMMIT.match(ref):
            return ref
        refs = _parse_refs(self._patiently("ls-remote", self.source.url, seconds=_LIST_SECONDS))
        for name in (ref, f"refs/tags/{ref}^{{}}", f"refs/tags/{ref}", f"refs/heads/{ref}", f"refs/{ref}"):
            if name in refs:
                return refs.get(f"{name}^{{}}", refs[name])
        if _ABBREVIATED.match(ref):
            raise SourceNotFound(
                f"{self.source.url}: {ref!r} is no branch or tag; if it is an abbreviated commit, write all of its 40"
                " digits (git rev-parse tells them): servers do not resolve abbreviations"
            )
        known = ", ".join(sorted(_short(name) for name in refs if _short(name))[:10]) or "none"
        raise SourceNotFound(
            f"{self.source.url}: there is no branch or tag {ref!r}; its branches and tags are: {known}"
        )

    def checkout(self, commit: str, folder: Path, *, include: Iterable[str] | None = None) -> None:
        """Put the files of a commit into a folder, those kept in LFS too where the source says so.

        Parameters
        ----------
        include
            Patterns of Git LFS for the files whose bytes are fetched; default: all.

        Raises
        ------
        SourceNotFound
            The repository does not have the commit, or not the bytes of a file.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._run("init", "--quiet", folder=folder)
        self._run("remote", "add", "origin", self.source.url, folder=folder)
        try:
            self._patiently(
                "fetch", "--quiet", "--depth", "1", "--no-tags", "origin", commit,
                folder=folder, seconds=_FETCH_SECONDS, expect_missing=True,
            )  # fmt: skip
        except GitFailed as error:
            # A server of protocol version 0 gives only what its refs name: fetch those, with their history.
            _log.info("the server does not give a single commit (%s); all branches are fetched", error.output)
            self._patiently(
                "fetch", "--quiet", "origin", "+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*",
                folder=folder, seconds=_FETCH_SECONDS,
            )  # fmt: skip
        try:
            self._run("checkout", "--quiet", "--force", "--detach", commit, folder=folder)
        except GitFailed as error:
            raise self._explain(error, commit) from error
        if self.source.lfs:
            self._fetch_lfs(folder, include)

    def _fetch_lfs(self, folder: Path, include: Iterable[str] | None) -> None:
        if not self._run("lfs", "ls-files", "--name-only", folder=folder).strip():
            return
        patterns = [f"--include={','.join(include)}"] if include is not None else ["--include="]
        # The configuration of the repository itself could leave files out.
        self._patiently(
            "lfs", "fetch", *patterns, "--exclude=", "origin", "HEAD", folder=folder, seconds=_FETCH_SECONDS
        )
        self._run("lfs", "checkout", folder=folder, seconds=_FETCH_SECONDS)

    def lfs_files(self, folder: Path) -> frozenset[str]:
        """Paths of the files of a checkout that are kept in LFS."""
        names = self._run("lfs", "ls-files", "--name-only", folder=folder).splitlines()
        return frozenset(name for name in names if name)

    # --- running ----------------------------------------------------------------------------------------------

    def _patiently(
        self, *arguments: str, folder: Path | None = None, seconds: float, expect_missing: bool = False
    ) -> str:
        """Run a command that talks to the server; try again for a minute while the server does not answer."""
        give_up = time.monotonic() + _PATIENCE_SECONDS
        pause = 1.0
        while True:
            try:
                return self._run(*arguments, folder=folder, seconds=seconds)
            except GitFailed as error:
                if expect_missing and _NO_COMMIT.search(error.output):
                    raise
                if not _UNREACHABLE.search(error.output) or time.monotonic() + pause > give_up:
                    raise self._explain(error) from error
                _log.warning("%s does not answer, trying again in %.0f s: %s", self.host, pause, error.output)
            time.sleep(pause)
            pause = min(pause * 2, 15.0)

    @property
    def host(self) -> str:
        return urlsplit(self.source.url).netloc

    def _run(self, *arguments: str, folder: Path | None = None, seconds: float = 600) -> str:
        process = subprocess.Popen(
            ["git", *arguments],
            cwd=folder or self.home,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        try:
            output, errors = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise GitFailed(arguments[0], f"timed out after {seconds:.0f} s") from None
        if process.returncode:
            raise GitFailed(" ".join(arguments[:2]), " ".join(errors.split())[-1000:])
        return output

    def _environment(self) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if name in ("PATH", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "TMPDIR")
            or name.lower() in ("http_proxy", "https_proxy", "no_proxy")
        }
        return kept | {
            "HOME": str(self.home),
            "GIT_CONFIG_GLOBAL": str(self.home / "gitconfig"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_LFS_SKIP_SMUDGE": "1",
            "LC_ALL": "C.UTF-8",
        }

    def _explain(self, error: GitFailed, commit: str | None = None) -> Exception:
        said, url = error.output, self.source.url
        if _FULL.search(said):
            return OSError(28, f"the volume is full while {url} is cloned", str(self.home))
        if _NEEDS_CREDENTIALS.search(said) or _DENIED.search(said):
            if self.source.credentials_secret_ref:
                return SourceNotFound(
                    f"{url}: the server refused the credentials of Secret {self.source.credentials_secret_ref.name}"
                    f" (keys username and password), or they may not read it: {said}"
                )
            return SourceNotFound(
                f"{url}: the repository is private, or it does not exist: name a Secret with username and password"
                " in credentialsSecretRef, or correct the address"
            )
        if _NO_REPOSITORY.search(said):
            return SourceNotFound(f"{url}: the server has no such repository: {said}")
        if commit is not None or _NO_COMMIT.search(said):
            return SourceNotFound(f"{url}: the repository has no commit {commit or self.source.ref}: {said}")
        return SourceNotFound(f"{url}: git {error.action} failed: {said}")


@contextmanager
def open_git(source: GitSource, credentials: Path | None) -> Iterator[Git]:
    """Prepare Git for a repository.

    Parameters
    ----------
    credentials
        Folder with the files username and password (a mounted Secret); used for the host of the source's URL only.
    """
    with tempfile.TemporaryDirectory(prefix="git-") as home:
        url = urlsplit(source.url)
        text = _CONFIGURATION
        if credentials is not None and credentials.is_dir():
            text += f'[credential "{url.scheme}://{url.netloc}"]\n\thelper = "{_helper(credentials)}"\n'
        (Path(home) / "gitconfig").write_text(text, encoding="utf-8")
        yield Git(source, Path(home))


def _helper(credentials: Path) -> str:
    """Give a credential helper that reads the mounted files each time: a rolled-over token is used at once."""
    user, password = (shlex.quote(str(credentials / name)) for name in ("username", "password"))
    command = (
        '!f() { test "$1" = get || exit 0;'
        f' printf "username=%s\\n" "$(cat {user} 2>/dev/null || echo oauth2)";'
        f' printf "password=%s\\n" "$(cat {password})"; }}; f'
    )
    return command.replace("\\", "\\\\").replace('"', '\\"')


def clone_code(source: GitSource, folder: Path, credentials: Path | None) -> str:
    """Put the source's folder at its commit into ``folder``, which is emptied, and give the commit.

    Raises
    ------
    SourceNotFound
        The repository, ref or path is not there.
    """
    empty(folder)
    with open_git(source, credentials) as git:
        commit = git.resolve()
        if source.path is None:
            git.checkout(commit, folder)
            return commit
        clone = folder / ".clone"
        git.checkout(commit, clone, include=[f"{source.path.strip('/')}/**"])
        wanted = subfolder(source, clone)
        for entry in list(wanted.iterdir()):
            if entry.name != ".git":
                entry.rename(folder / entry.name)
        shutil.rmtree(clone)
        return commit


def subfolder(source: GitSource, clone: Path) -> Path:
    """Give the folder of a clone that the source means. Raises SourceNotFound where it is not one."""
    if source.path is None:
        return clone
    wanted = (clone / source.path).resolve()
    if not wanted.is_dir() or not wanted.is_relative_to(clone.resolve()):
        there = ", ".join(sorted(e.name for e in clone.iterdir() if e.is_dir() and e.name != ".git")[:10])
        raise SourceNotFound(
            f"{source.url}: there is no folder {source.path!r} at {source.ref}; its folders are: {there or 'none'}"
        )
    return wanted


def is_lfs_pointer(path: Path) -> bool:
    """Say whether a file is a pointer to bytes kept in LFS that were not fetched."""
    if path.stat().st_size > _MAX_POINTER_BYTES:
        return False
    with path.open("rb") as file:
        return file.read(len(_POINTER)) == _POINTER


def empty(folder: Path) -> None:
    """Make a folder, or remove what is in it: the folder itself may be a mount."""
    folder.mkdir(parents=True, exist_ok=True)
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _parse_refs(output: str) -> dict[str, str]:
    refs = {}
    for line in output.splitlines():
        commit, _, name = line.partition("\t")
        if _COMMIT.match(commit) and name:
            refs[name] = commit
    return refs


def _short(name: str) -> str:
    for prefix in ("refs/heads/", "refs/tags/"):
        if name.startswith(prefix) and not name.endswith("^{}"):
            return name.removeprefix(prefix)
    return ""
