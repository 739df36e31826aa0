"""Every error that this package raises on purpose.

::

    MlopsError
    ├── SettingsError          the operator's configuration is wrong
    ├── CredentialsError       a Secret does not hold usable S3 credentials
    ├── StorageError           the bucket did not do what was asked
    │   ├── StorageDenied        it refused the credentials (401, 403)
    │   ├── StorageUnavailable   it did not answer, or asked to come again (5xx, timeouts)
    │   ├── StorageFull          no space, or a quota is used up
    │   ├── ObjectNotFound       there is no such key or bucket
    │   └── AlreadyExists        a write-once key is taken
    ├── IntegrityError         bytes are not those that the digest says
    │   └── DatasetChanged       … of a dataset, after its snapshot
    ├── DiskLimitExceeded      the run would write more than its own limit
    └── SourceNotFound         the Git repository, commit, path or prefix is not there
"""


class MlopsError(Exception):
    """Base of all errors here; ``str(error)`` is a sentence for the user."""


class SettingsError(MlopsError):
    """The operator's configuration is wrong."""


class CredentialsError(MlopsError):
    """A Secret does not hold usable S3 credentials."""


class StorageError(MlopsError):
    """The bucket did not do what was asked."""


class StorageDenied(StorageError):  # noqa: N818 - named like the cause in the status
    """The server refused the credentials or the action."""


class StorageUnavailable(StorageError):  # noqa: N818
    """The server did not answer, or asked to come again."""


class StorageFull(StorageError):  # noqa: N818
    """There is no space left, or a quota is used up."""


class ObjectNotFound(StorageError):  # noqa: N818
    """There is no such key or bucket."""


class AlreadyExists(StorageError):  # noqa: N818
    """A write-once key is taken."""


class IntegrityError(MlopsError):
    """Bytes are not those that the digest says."""


class DatasetChanged(IntegrityError):  # noqa: N818
    """A file of a dataset is not the one of its snapshot."""


class DiskLimitExceeded(MlopsError):  # noqa: N818
    """The run would write more than its own limit."""


class SourceNotFound(MlopsError):  # noqa: N818
    """The Git repository, commit, path or prefix is not there."""
