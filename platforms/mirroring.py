"""What both platforms know of the MLflow that a stack is mirrored to: how long it is asked, and by which variables."""

from __future__ import annotations

BUILD_SECONDS = 20.0
"""For which an update tries to tell MLflow of a build, beside all else that it does; less if one call takes long."""
TICK_SECONDS = 5.0
"""For which a controller tries to tell it of rollouts, after all that concerns traffic."""
EXPERIMENT, SECRET = "MLFLOW_EXPERIMENT_NAME", "MLFLOW_SECRET"
"""The environment variables of a controller, besides those of MLflow's own clients: the experiment, and the name of the
secret that holds the keys."""
