module mlops.eoepca.org/entrypoint

go 1.24
