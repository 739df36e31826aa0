"""The one error that the command line shows as a sentence instead of a traceback."""


class ClusterError(Exception):
    """Something that the person at the keyboard can act on; the message says what to do."""
