"""What a stack costs and promises on Kubernetes, measured in a real cluster of one node: `make bench-kubernetes`."""
