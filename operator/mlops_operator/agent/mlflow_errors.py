"""An answer other than 200, as MLflow words it."""

from __future__ import annotations


class ApiError(Exception):
    """A refusal: the answer's status, MLflow's word for it, and a sentence."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def missing(what: str) -> ApiError:
    """Give the refusal of a call that names what is not there."""
    return ApiError(404, "RESOURCE_DOES_NOT_EXIST", f"there is no {what} here")
