"""The demo: a workspace, two trainings on real data, and what came of them."""
