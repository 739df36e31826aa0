"""``kubectl_complete-mlops``: what kubectl runs to complete ``kubectl mlops …`` in the shell.

It is given the words so far, and prints a candidate a line, with its help after a tab (as typer gives them to fish),
then the directive ``:4``: no file names.
"""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import suppress
from typing import Final

from mlops_operator.cli.app import app

_VARIABLE: Final = "_KUBECTL_MLOPS_COMPLETE"


def main(words: list[str] | None = None) -> int:
    """Print the candidates for the last of the words."""
    *before, last = (sys.argv[1:] if words is None else words) or [""]
    os.environ |= {
        _VARIABLE: "complete_fish",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        # The last word as it is: a blank after the others means that it is empty.
        "_TYPER_COMPLETE_ARGS": f"{shlex.join(['kubectl-mlops', *before])} {last}",
    }
    with suppress(SystemExit):
        app(prog_name="kubectl-mlops", complete_var=_VARIABLE)
    sys.stdout.write(":4\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
