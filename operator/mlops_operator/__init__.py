"""The MLOps operator: datasets, training runs and model versions as resources of a workspace."""
