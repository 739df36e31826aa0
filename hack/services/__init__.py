"""The demo's real services in the cluster: an S3 server, a Git server with LFS, and workspaces that use them."""
