"""Environment variables of the controller in the cluster."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from modelstack.platforms.kubernetes.names import CONTROLLER_PORT
from modelstack.records.tracking.variables import SERVER

NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_PORTS = range(1, 65536)


class WrongSettings(ValueError):
    """The environment is incomplete or invalid; the message has a line for each problem."""


@dataclass(frozen=True)
class ControllerSettings:
    """The environment variables of the controller.

    Attributes:
        namespace: `NAMESPACE`; by default that of the service account.
        pod: `POD_NAME`, the holder of the Lease and the actor in the audit record; by default the host name.
        database: `DATABASE_URL` for captures, labels and the audit record; optional.
        webhook: `WEBHOOK_URL`, notified of every event; optional.
        host: `BIND_HOST`.
        port: `PORT`.
        mlflow: `MLFLOW_TRACKING_URI`, to mirror rollouts to; optional. Its credentials stay in MLflow's own variables.
    """

    namespace: str
    pod: str
    database: str = field(default="", repr=False)
    webhook: str = field(default="", repr=False)
    host: str = "127.0.0.1"
    port: int = CONTROLLER_PORT
    mlflow: str = ""

    @property
    def by(self) -> str:
        """The name of this process in the audit record."""
        return f"pod {self.namespace}/{self.pod}"

    @classmethod
    def of(cls, environment: Mapping[str, str], namespace_file: Path = NAMESPACE_FILE) -> ControllerSettings:
        """Parse the environment; raises WrongSettings, without secret values in the message."""
        wrong: list[str] = []
        namespace = environment.get("NAMESPACE") or _text(namespace_file)
        if not _LABEL.fullmatch(namespace):
            wrong.append(f"NAMESPACE is {namespace!r}, and must be a namespace's name: small letters, digits and -")
        web = ("https", "http")
        schemes = {"DATABASE_URL": ("postgresql", "postgres"), "WEBHOOK_URL": web, SERVER: web}
        for name, allowed in schemes.items():
            if environment.get(name) and not _is_url(environment[name], allowed):
                wrong.append(f"{name} is no URL that begins with {' or '.join(f'{one}://' for one in allowed)}HOST")
        port = environment.get("PORT", str(CONTROLLER_PORT))
        if not port.isdecimal() or int(port) not in _PORTS:
            wrong.append(f"PORT is {port!r}, and must be a number from 1 to {_PORTS[-1]}")
        if wrong:
            raise WrongSettings("\n".join(wrong))
        return cls(
            namespace,
            environment.get("POD_NAME") or socket.gethostname(),
            environment.get("DATABASE_URL", ""),
            environment.get("WEBHOOK_URL", ""),
            environment.get("BIND_HOST", "127.0.0.1"),
            int(port),
            environment.get(SERVER, ""),
        )


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _is_url(text: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in schemes and bool(parts.hostname)
    except ValueError:
        return False
