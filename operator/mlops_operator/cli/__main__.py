"""``kubectl-mlops``: kubectl finds it on the path and runs it as ``kubectl mlops``."""

from __future__ import annotations

import sys

from mlops_operator.cli.app import app
from mlops_operator.cli.errors import FAILURE, INTERRUPTED
from mlops_operator.errors import MlopsError


def main() -> int:
    """Run a command; gives the exit code."""
    try:
        app(prog_name=_program(sys.argv[1:]))
    except MlopsError as error:
        sys.stderr.write(f"error: {error}\n")
        return FAILURE
    except BrokenPipeError:
        sys.stderr.close()
        return FAILURE
    except KeyboardInterrupt:
        return INTERRUPTED
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else FAILURE
    return 0


def _program(arguments: list[str]) -> str:
    # A shell completes a program's name, which has no blank in it.
    return "kubectl-mlops" if any("completion" in word for word in arguments[:1]) else "kubectl mlops"


if __name__ == "__main__":
    sys.exit(main())
