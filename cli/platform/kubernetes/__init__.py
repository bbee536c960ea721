"""Kubernetes' answers: the API server, the gateway and Prometheus, over the ports of `platforms.kubernetes`."""
