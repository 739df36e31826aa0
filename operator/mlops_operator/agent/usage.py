"""What the command uses while it runs, from the file that the entrypoint writes."""

from __future__ import annotations

import time
from pathlib import Path

from pydantic import ValidationError

from mlops_operator.api.wire import UsageReport

# It always changes: alone it is worth a report no more often than this.
_WORTH_A_REPORT_SECONDS = 60.0


class UsageFile:
    """Reads the file; says when what it tells is worth a report of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version = 0
        self._changed_at = time.monotonic()

    def read(self) -> UsageReport | None:
        """Give what is told now; None where nothing is yet."""
        try:
            return UsageReport.model_validate_json(self._path.read_bytes())
        except (OSError, ValidationError):
            return None

    @property
    def version(self) -> int:
        """A number that rises about once a minute while there is something to tell."""
        now = time.monotonic()
        if now - self._changed_at >= _WORTH_A_REPORT_SECONDS and self._path.is_file():
            self._changed_at = now
            self._version += 1
        return self._version
