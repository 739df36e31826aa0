"""What a developer runs: a local Kubernetes, the demo, the images."""
