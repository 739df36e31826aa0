"""The page on the configuration names every field that there is."""

from pathlib import Path

from pydantic.alias_generators import to_camel

from mlops_operator.settings import Settings

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "configuration.md"


def test_every_field_is_documented() -> None:
    text = PAGE.read_text(encoding="utf-8")
    missing = [name for name in Settings.model_fields if to_camel(name) not in text]
    assert not missing
