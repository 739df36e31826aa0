"""Unit tests reach nothing outside the process; one that needs loopback says so with ``enable_socket``."""

import pytest
from pytest_socket import disable_socket, socket_allow_hosts


@pytest.fixture(autouse=True)
def _no_network(request: pytest.FixtureRequest) -> None:
    """Forbid sockets, but those of an event loop (Unix) and, where a test is marked so, of loopback."""
    if request.node.get_closest_marker("enable_socket"):
        socket_allow_hosts(["127.0.0.1", "::1"], allow_unix_socket=True)
    else:
        disable_socket(allow_unix_socket=True)
