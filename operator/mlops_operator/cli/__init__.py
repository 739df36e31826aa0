"""``kubectl mlops``: runs as people work with them, from the cluster and from the bucket that outlives it."""
