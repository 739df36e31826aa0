"""Put ``kubectl mlops`` onto a path: two small scripts that run the code of this clone."""

import shlex
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = {"kubectl-mlops": "mlops_operator.cli", "kubectl_complete-mlops": "mlops_operator.cli.complete"}


def install(folder: Path) -> None:
    """Write the scripts into a folder that is, or will be, on the PATH."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, module in PROGRAMS.items():
        words = shlex.join([sys.executable, "-m", module])
        script = f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(ROOT / "operator"))} exec {words} "$@"\n'
        path = folder / name
        path.write_text(script)
        path.chmod(0o755)


if __name__ == "__main__":
    install(Path(sys.argv[1]))
