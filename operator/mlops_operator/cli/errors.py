"""What a command ends with."""

from __future__ import annotations

from typing import Final

from mlops_operator.errors import MlopsError

# 2 is what a wrong option or argument ends with.
FAILURE: Final = 1
RUN_FAILED: Final = 3
RUN_CANCELLED: Final = 4
INTERRUPTED: Final = 130


class CliError(MlopsError):
    """A command cannot do what it was asked; the message says what to do."""


class ClusterError(CliError):
    """kubectl refused, or the cluster did not answer."""
