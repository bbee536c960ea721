"""Which MLflow a stack is mirrored to, and in whose name: a server by its URL, or a managed one of AWS by its ARN.

    api = mlflow("http://127.0.0.1:5000", os.environ, seconds=5)
    arn = "arn:aws:sagemaker:us-east-1:111122223333:mlflow-app/app-AB12"
    api = mlflow(arn, os.environ, seconds=5)                                # signed with AWS's credentials
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager

from tracking.api import Api
from tracking.connection import Connection, bearer

BUILD_SECONDS = 5.0
"""For which an update tries to tell MLflow of a build, beside all else that it does."""
TICK_SECONDS = 3.0
"""For which a controller tries to tell it of rollouts, after all that concerns traffic."""
SERVER, SECRET = "MLFLOW_TRACKING_URI", "MLFLOW_SECRET"
"""The environment variables of a controller: the server, and where its token lies."""
KEYS = {
    "token": "MLFLOW_TRACKING_TOKEN",
    "username": "MLFLOW_TRACKING_USERNAME",
    "password": "MLFLOW_TRACKING_PASSWORD",
}
"""Key of a secret -> the variable that MLflow's own clients read."""


@contextmanager
def mlflow(server: str, environ: Mapping[str, str], seconds: float) -> Generator[Api]:
    """MLflow's API for so many seconds.

    Args:
        server: `http(s)://HOST[:PORT][/PATH]`, or the ARN of a tracking server or an app.
        environ: Where token, or user and password, are looked for.
        seconds: How long all calls together may take.

    Raises:
        MlflowError: There are no credentials to sign with.
    """
    if server.startswith("arn:"):
        from platforms.aws.managed_mlflow import signed  # noqa: PLC0415 - of a managed one alone

        url, authorize = signed(server, environ)
    else:
        url, authorize = server, bearer(environ)
    connection = Connection.to(url, authorize, seconds)
    try:
        yield Api(connection)
    finally:
        connection.close()
