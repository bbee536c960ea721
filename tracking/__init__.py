"""What a team's MLflow shows of a stack: a mirror of its builds and rollouts. Nothing reads it to decide anything."""
