"""The components of a stack on a Kubernetes cluster, one per file."""
