"""Through which proxy a bucket is reached, as botocore sees it."""

from __future__ import annotations

from typing import Any

import pytest

from mlops_operator.storage.credentials import Credentials
from mlops_operator.storage.session import open_session

PROXIES = {"http": "http://proxy:3128", "https": "http://proxy:3129", "no": "localhost,.svc,minio:9000"}


def proxies_for(endpoint: str, proxies: dict[str, str] | None) -> Any:
    credentials = Credentials(
        endpoint=endpoint, region="us-east-1", bucket="ws", access_key_id="id", secret_access_key="hush"
    )
    session = open_session(
        credentials, ca_bundle=None, proxies=proxies, connect_timeout_seconds=1, read_timeout_seconds=1
    )
    config: Any = session.client.meta.config
    return config.proxies


@pytest.mark.parametrize("endpoint", ["https://s3.example.org", "http://s3.other.svc.example.org:7070"])
def test_a_distant_server_is_reached_through_the_proxy(endpoint: str) -> None:
    assert proxies_for(endpoint, PROXIES) == {"http": "http://proxy:3128", "https": "http://proxy:3129"}


@pytest.mark.parametrize(
    "endpoint", ["http://s3.demo.svc:7070", "http://localhost:9000", "http://minio:9000"]
)
def test_what_is_excepted_goes_past_it(endpoint: str) -> None:
    assert proxies_for(endpoint, PROXIES) == {}


def test_without_a_proxy_of_ours_the_environment_decides() -> None:
    assert proxies_for("https://s3.example.org", None) is None
