"""The environment variables by which MLflow's own clients find a server and sign in to it. Ours read the same."""

from __future__ import annotations

SERVER = "MLFLOW_TRACKING_URI"
"""Where it answers."""
KEYS = {
    "token": "MLFLOW_TRACKING_TOKEN",
    "username": "MLFLOW_TRACKING_USERNAME",
    "password": "MLFLOW_TRACKING_PASSWORD",
}
"""What it is signed in to with, as a stack's secret calls it -> the variable. A token, or the two others."""
EXPERIMENT, SECRET = "MLFLOW_EXPERIMENT_NAME", "MLFLOW_SECRET"
"""Where a controller finds the experiment, and the name of the secret that holds the keys."""
