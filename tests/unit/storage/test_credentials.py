"""Secrets, in the forms that they come in."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops_operator.api.wire import BucketHint
from mlops_operator.errors import CredentialsError
from mlops_operator.storage.credentials import from_directory, from_secret

HINT = BucketHint(endpoint="https://s3.example.org", bucket="ws-alice")
KEYS = {"AWS_ACCESS_KEY_ID": "alice\n", "AWS_SECRET_ACCESS_KEY": "top-secret"}


def test_the_hint_fills_in_what_the_secret_leaves_out() -> None:
    found = from_secret(KEYS, HINT)
    assert (found.endpoint, found.region, found.bucket) == ("https://s3.example.org", "us-east-1", "ws-alice")
    assert (found.access_key_id, found.secret_access_key) == ("alice", "top-secret")
    assert found.force_path_style


def test_the_secret_wins() -> None:
    more = {
        "AWS_ENDPOINT_URL": "http://minio:9000/",
        "AWS_REGION": "eu",
        "BUCKET": "b",
        "AWS_S3_FORCE_PATH_STYLE": "false",
    }
    found = from_secret(KEYS | more, HINT)
    assert (found.endpoint, found.region, found.bucket) == ("http://minio:9000", "eu", "b")
    assert not found.force_path_style


def test_kserve_form() -> None:
    found = from_secret({"awsAccessKeyID": "a", "awsSecretAccessKey": "b"}, HINT)
    assert (found.access_key_id, found.secret_access_key) == ("a", "b")


def test_no_secret_in_the_repr() -> None:
    found = from_secret(KEYS | {"AWS_SESSION_TOKEN": "token-value"}, HINT)
    assert "top-secret" not in repr(found)
    assert "token-value" not in repr(found)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"AWS_SECRET_ACCESS_KEY": " "}, "AWS_SECRET_ACCESS_KEY"),
        ({"AWS_ACCESS_KEY_ID": ""}, "AWS_ACCESS_KEY_ID"),
        ({"AWS_ENDPOINT_URL": "s3.example.org"}, "AWS_ENDPOINT_URL"),
        ({"AWS_ENDPOINT_URL": "https://u:p@s3.example.org"}, "AWS_ENDPOINT_URL"),
        ({"AWS_S3_FORCE_PATH_STYLE": "perhaps"}, "AWS_S3_FORCE_PATH_STYLE"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, str], named: str) -> None:
    with pytest.raises(CredentialsError, match=named) as caught:
        from_secret(KEYS | change, HINT)
    assert "top-secret" not in str(caught.value)


def test_a_mounted_secret_is_read_from_one_version(tmp_path: Path) -> None:
    for version in ("old", "new"):
        (tmp_path / f"..{version}").mkdir()
        for key in KEYS:
            (tmp_path / f"..{version}" / key).write_text(version)
    (tmp_path / "..data").symlink_to("..new")
    for key in KEYS:  # as if the links were still of the old version
        (tmp_path / key).symlink_to(f"..old/{key}")
    assert from_directory(tmp_path, HINT).access_key_id == "new"
