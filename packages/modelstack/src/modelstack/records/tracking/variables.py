"""Environment variables of MLflow's own clients, and of the controller."""

from __future__ import annotations

SERVER = "MLFLOW_TRACKING_URI"  # the server's URL
KEYS = {
    "token": "MLFLOW_TRACKING_TOKEN",
    "username": "MLFLOW_TRACKING_USERNAME",
    "password": "MLFLOW_TRACKING_PASSWORD",
}
"""Key in a stack's secret -> variable. Either the token, or the two others."""
EXPERIMENT, SECRET = "MLFLOW_EXPERIMENT_NAME", "MLFLOW_SECRET"
"""The controller's experiment, and the name of the secret with the keys."""
