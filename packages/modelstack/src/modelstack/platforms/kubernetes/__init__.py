"""modelstack on Kubernetes: the ports of a rollout over Kubernetes' own objects and the Gateway API."""
