"""What runs inside the pods of a workspace."""

__version__ = "0.1.0"
