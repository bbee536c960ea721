"""What a stack on a Kubernetes cluster consists of: one component a file."""
