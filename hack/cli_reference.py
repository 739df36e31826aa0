"""Write the reference of ``kubectl mlops`` from its commands: ``python -m hack.cli_reference``."""

import subprocess
import sys

from hack.plugin import ROOT

TARGET = ROOT / "docs" / "reference" / "kubectl-mlops.md"


def page() -> str:
    """Give the whole page, as typer writes it."""
    words = ["-m", "typer", "mlops_operator.cli.app", "utils", "docs", "--name", "kubectl mlops"]
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, check=True, cwd=ROOT / "operator"
    )
    return done.stdout.rstrip() + "\n"


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
