"""The commands' adapter for Kubernetes: API server, gateway and Prometheus."""
