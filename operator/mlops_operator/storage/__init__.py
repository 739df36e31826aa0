"""The workspace's bucket: client, keys, digests, manifests, the STAC catalogue."""
