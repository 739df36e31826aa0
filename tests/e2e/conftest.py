"""The cluster, its services, and a workspace for each test; what there is to see when a test fails."""

from __future__ import annotations

import fcntl
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from hack.cluster.provider import Provider
from hack.cluster.pytest_provider import ClusterManager
from hack.kubectl import program
from hack.services.git import GitService, connect_git
from hack.services.s3 import S3Service, connect_s3
from hack.services.workspace import create_workspace, delete_workspace
from tests.e2e.audit import AuditLog
from tests.e2e.kube import Kube
from tests.e2e.workspace import Workspace

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Generator, Iterator

ROOT = Path(__file__).resolve().parents[2]
STATE = ROOT / ".state"
SMALL_S3 = "s3-small"


@pytest.fixture(scope="session")
def kubeconfig() -> Path:
    """The cluster that CLUSTER chooses, through pytest-kubernetes; it is brought up unless it is somebody's own."""
    manager = ClusterManager()
    if manager.chosen is not Provider.CURRENT:
        manager.create()
    return Path(manager.kubeconfig)


@pytest.fixture(scope="session")
def kube(kubeconfig: Path) -> Iterator[Kube]:
    kube = Kube(kubeconfig, kubectl_program=program())
    yield kube
    kube.close()


@pytest.fixture(scope="session")
def kubectl(kube: Kube) -> Callable[..., subprocess.CompletedProcess[str]]:
    return kube.kubectl


@pytest.fixture(scope="session")
def s3(kubeconfig: Path) -> S3Service:
    return connect_s3(kubeconfig)


@pytest.fixture(scope="session")
def git(kubeconfig: Path) -> GitService:
    return connect_git(kubeconfig)


@pytest.fixture(scope="session")
def audit() -> AuditLog:
    return AuditLog(STATE / "audit")


@pytest.fixture
def workspace_name(request: pytest.FixtureRequest) -> str:
    word = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_").lower())[:24].strip("-")
    return f"ws-{word}-{secrets.token_hex(3)}"


@pytest.fixture
def namespace(kube: Kube, workspace_name: str) -> Iterator[str]:
    """A bare namespace."""
    kube.create("Namespace", "", {"metadata": {"name": workspace_name}})
    yield workspace_name
    kube.delete("Namespace", "", workspace_name)


@pytest.fixture
def workspace(kube: Kube, s3: S3Service, workspace_name: str) -> Iterator[Workspace]:
    """A workspace as the workspace building block would make it."""
    yield from _workspace(kube, s3, workspace_name)


@pytest.fixture
def small_s3(kubeconfig: Path) -> Iterator[S3Service]:
    """An S3 server of a test's own, with a file system of a few megabytes. It may be stopped; who reaches it is one."""
    small = connect_s3(kubeconfig, SMALL_S3)
    small.scale(1)
    yield small
    small.scale(0)


@pytest.fixture
def small_workspace(kube: Kube, small_s3: S3Service, workspace_name: str) -> Iterator[Workspace]:
    """A workspace whose bucket lies on that server."""
    yield from _workspace(kube, small_s3, workspace_name)


def _workspace(kube: Kube, s3: S3Service, name: str) -> Iterator[Workspace]:
    made = create_workspace(name, s3)
    yield Workspace(name, kube, s3.client(made.credentials))
    delete_workspace(made, s3)


# --- who may be on the cluster at a time ---------------------------------------------------------------------


# One process runs the tests of a group, in their order: those that disrupt, and those that share the demo's workspace
# or change the node's GPUs.
_GROUPS = {
    "test_faults": "disruptive",
    "test_operator": "disruptive",
    "test_operator_killed": "disruptive",
    "test_trust": "disruptive",
    "test_zz_audit": "audit",
    "test_demo": "demo",
    "test_docs": "demo",
    "test_waiting": "demo",
}
# It judges what all other tests left in the API server's log.
_LAST = "test_zz_audit"
# Servers and processes of their own, and no cluster.
_WITHOUT_CLUSTER = frozenset({"agent", "storage"})


class Turns:
    """Which tests may run beside which, among the processes of one session.

    Two files are locked. ``cluster``: shared by the tests on the cluster, held alone by one that disrupts. ``session``:
    shared by every process until its last test has ended, held alone by the test that judges all others.
    """

    def __init__(self) -> None:
        STATE.mkdir(exist_ok=True)
        self._cluster = (STATE / "e2e.lock").open("w")
        self._session = (STATE / "e2e-session.lock").open("w")
        fcntl.flock(self._session, fcntl.LOCK_SH)

    def begin(self, item: pytest.Item) -> None:
        if _is_last(item):
            fcntl.flock(self._session, fcntl.LOCK_UN)
            fcntl.flock(self._session, fcntl.LOCK_EX)
        if _needs_cluster(item):
            fcntl.flock(self._cluster, fcntl.LOCK_EX if _is_disruptive(item) else fcntl.LOCK_SH)

    def end(self, item: pytest.Item, nextitem: pytest.Item | None) -> None:
        """Let the others go on, unless the next test disrupts as well."""
        if nextitem is None or not (_is_disruptive(item) and _is_disruptive(nextitem)):
            fcntl.flock(self._cluster, fcntl.LOCK_UN)
        if nextitem is None:
            fcntl.flock(self._session, fcntl.LOCK_UN)

    def close(self) -> None:
        self._cluster.close()
        self._session.close()


_TURNS = pytest.StashKey[Turns]()


class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Gives each test to the next free process, and a group to one."""

    def _split_scope(self, nodeid: str) -> str:
        return _GROUPS.get(Path(nodeid.partition("::")[0]).stem, nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Replace the scheduler: pytest-xdist's own groups (loadgroup) are lost under pytest 9.2."""
    return GroupScheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put first what is alone on the cluster, and beside it what needs none."""
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    if _is_last(item):
        return 3
    if _is_disruptive(item):
        return 0
    return 2 if _needs_cluster(item) else 1


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(
    item: pytest.Item, nextitem: pytest.Item | None
) -> Generator[None, object, object]:
    """Let a test wait for its turn."""
    stash = item.config.stash
    turns = stash[_TURNS] if _TURNS in stash else stash.setdefault(_TURNS, Turns())
    turns.begin(item)
    try:
        return (yield)
    finally:
        turns.end(item, nextitem)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Close the locks."""
    if _TURNS in config.stash:
        config.stash[_TURNS].close()


def _is_disruptive(item: pytest.Item) -> bool:
    return item.get_closest_marker("disruptive") is not None


def _is_last(item: pytest.Item) -> bool:
    return item.path.stem == _LAST


def _needs_cluster(item: pytest.Item) -> bool:
    within = item.path.relative_to(ROOT / "tests").parts
    return within[0] == "e2e" and within[1] not in _WITHOUT_CLUSTER


# --- what there is to see when a test fails -----------------------------------------------------------------


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    outcome: Any = yield
    report = outcome.get_result()
    if not report.failed:
        return
    fixtures = getattr(item, "funcargs", {})
    place = fixtures.get("workspace") or fixtures.get("small_workspace")
    kube = fixtures.get("kube") or (place.kube if place else None)
    if kube is not None:
        namespace = place.name if place else fixtures.get("namespace", "default")
        report.sections.append((f"namespace {namespace}", _describe(kube, namespace)))


def _describe(kube: Kube, namespace: str) -> str:
    """Objects, events and logs of a namespace, and the operator's last words."""
    questions = [
        ("get", "tds,trun,mv,jobs,pods", "-o", "wide"),
        ("get", "events", "--sort-by=.lastTimestamp"),
        ("get", "trun,tds,mv", "-o", "jsonpath={range .items[*]}{.metadata.name}{': '}{.status}{'\\n'}{end}"),
    ]
    parts = [kube.kubectl("-n", namespace, *question).stdout[-6000:] for question in questions]
    for pod in kube.list("Pod", namespace)[-6:]:
        name = pod["metadata"]["name"]
        log = kube.kubectl("-n", namespace, "logs", name, "--all-containers", "--prefix", "--tail=25").stdout
        parts.append(f"--- log of {name}\n{log[-4000:]}")
    log = kube.kubectl("-n", "mlops-system", "logs", "deployment/mlops-operator", "--tail=60").stdout
    parts.append(f"--- log of the operator\n{log[-8000:]}")
    return "\n".join(parts)
