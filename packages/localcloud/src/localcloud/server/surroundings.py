"""The environment that ministack reads while it is imported: loopback only, state in one folder, IAM on.

ministack takes its settings from environment variables at import time, so `arrange` must run before the first
`import ministack`. The variables are documented in ministack's README; those below were checked against 1.5.33.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path

from localcloud.server import credentials

STATE_MARK = "LOCALCLOUD_STATE"
"""Variable that every process of a cloud carries, so that none is ever left behind."""

SERVICES = (
    "dynamodb",
    "dynamodbstreams",
    "ecr",
    "events",
    "iam",
    "kms",
    "lambda",
    "logs",
    "monitoring",
    "s3",
    "scheduler",
    "secretsmanager",
    "sns",
    "sqs",
    "ssm",
    "states",
    "sts",
    "tagging",
)
"""What is served. Anything else is refused by name: ministack's other services may open ports or start containers."""


@dataclass(frozen=True)
class Folders:
    """Where one cloud keeps its files.

    Attributes:
        state: The durable folder.
    """

    state: Path

    @property
    def ministack(self) -> Path:
        """One JSON file a service."""
        return self.state / "ministack"

    @property
    def objects(self) -> Path:
        """Contents of S3 objects."""
        return self.state / "s3"

    @property
    def run(self) -> Path:
        """What need not survive a restart."""
        return self.state / "run"

    @property
    def scratch(self) -> Path:
        """Temporary files, Lambda's unpacked code among them."""
        return self.state / "run" / "tmp"

    def make(self) -> None:
        """Make them all, those that need not survive a restart anew."""
        shutil.rmtree(self.run, ignore_errors=True)
        for folder in (self.state, self.ministack, self.objects, self.run, self.scratch):
            folder.mkdir(parents=True, exist_ok=True)


def settings(folders: Folders, port: int, region: str, account: str) -> dict[str, str]:
    """The variables that ministack is to see."""
    keys = credentials.of(folders.state)
    url = f"http://127.0.0.1:{port}"
    return {
        # Only this machine, only this port.
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "SERVICES": ",".join(SERVICES),
        # Every request is authenticated and authorised.
        "AUTH": "true",
        # Everything in the state folder.
        "PERSIST_STATE": "1",
        "STATE_DIR": str(folders.ministack),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(folders.objects),
        "TMPDIR": str(folders.scratch),
        STATE_MARK: str(folders.state),
        # Functions run as processes of this very Python.
        "LAMBDA_EXECUTOR": "local",
        "MINISTACK_WORKER_THREADS": "32",
        "PYTHONDONTWRITEBYTECODE": "1",
        "LOG_LEVEL": "WARNING",
        # The account, and clients of it in this process and in functions.
        "MINISTACK_REGION": region,
        "MINISTACK_ACCOUNT_ID": account,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        **keys.environment(),
        "AWS_ENDPOINT_URL": url,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }


_LEAKS = ("AWS_", "MINISTACK_", "LOCALSTACK_", "LAMBDA_", "S3_", "SFTP_", "IOT_", "CLOUDTRAIL_")
_LEAKS_BY_NAME = ("EDGE_PORT", "USE_SSL", "SERVICES", "PERSISTENCE", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")


def arrange(environment: MutableMapping[str, str], wanted: Mapping[str, str]) -> None:
    """Drop what a person's shell may hold for AWS or an emulator, then set `wanted`."""
    for name in list(environment):
        if name.startswith(_LEAKS) or name in _LEAKS_BY_NAME:
            del environment[name]
    environment.update(wanted)
