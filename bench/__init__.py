"""Measurements on the running cluster, each beside what it is compared with."""
