"""A real one-node Kubernetes on a Debian 12 machine without Docker."""
