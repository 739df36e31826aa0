"""Programs that we start: a failure shows the last lines that the program wrote."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from hack.images.errors import ImageError

LINES_SHOWN = 25


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    stdin: str | None = None,
) -> str:
    """Run a program and give what it wrote to its standard output.

    Parameters
    ----------
    environment
        Added to the present one.

    Raises
    ------
    ImageError
        If the program is missing or fails; the message ends with its last lines.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            cwd=cwd,
            env=os.environ | dict(environment or {}),
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise ImageError(f"{words[0]} is not installed: run `python -m hack.cluster build` first.") from error
    if done.returncode != 0:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-LINES_SHOWN:])
        raise ImageError(f"{' '.join(words[:3])} … failed with {done.returncode}. It said:\n{last}")
    return done.stdout
