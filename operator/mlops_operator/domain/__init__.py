"""Decisions without I/O: from what was observed to what is to be done."""
