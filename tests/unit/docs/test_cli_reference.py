"""The reference of the plugin is that of its commands."""

from hack import cli_reference


def test_it_is_up_to_date() -> None:
    assert cli_reference.TARGET.read_text(encoding="utf-8") == cli_reference.page(), "run `make crds`"
