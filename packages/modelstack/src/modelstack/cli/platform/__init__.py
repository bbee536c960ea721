"""The commands' port to platforms, and its adapters for AWS and Kubernetes."""
