"""What the commands ask of the platform that an endpoint runs on, and the answers of AWS and of Kubernetes."""
