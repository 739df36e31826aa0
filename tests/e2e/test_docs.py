"""Every shell block of README and tutorial, run as it stands; only those marked ``sh no-run`` are not."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.e2e.test_demo import demo

ROOT = Path(__file__).resolve().parents[2]
PAGES = ["README.md", "docs/tutorial.md"]
BLOCK = re.compile(r"^[ ]*```sh\n(.*?)^[ ]*```$", re.MULTILINE | re.DOTALL)

SAY_WHAT_FAILED = "trap 'echo failed: $BASH_COMMAND >&2' ERR"

__all__ = ["demo"]


def blocks(page: str) -> list[str]:
    return BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))


@pytest.mark.usefixtures("demo")
@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_work(page: str) -> None:
    script = "\n".join(["set -euo pipefail", SAY_WHAT_FAILED, *blocks(page)])
    done = subprocess.run(
        ["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
