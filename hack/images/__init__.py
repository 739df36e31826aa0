"""The container images of the operator and of the demo, built without pulling any."""
