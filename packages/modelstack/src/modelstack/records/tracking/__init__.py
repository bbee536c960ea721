"""Mirrors a stack's builds and rollouts into the team's MLflow. Nothing here is read back to decide anything."""
