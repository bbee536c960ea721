"""The settings of a handler, from its environment."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from modelstack.platforms.aws.names import MONITORING
from modelstack.records.tracking.variables import EXPERIMENT, SECRET, SERVER

if TYPE_CHECKING:
    from modelstack.services.measuring import Measuring


class Context(Protocol):
    """Lambda's context of a call."""

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the call is cut off."""


@dataclass(frozen=True)
class HandlerSettings:
    """The environment variables of a handler, empty where it does not need them; `topic` and `audit_key` are ARNs."""

    endpoint: str
    journal: str
    topic: str | None
    bucket: str
    documents: str = ""
    group: str = ""
    stack: str = ""
    audit_key: str = ""
    mlflow: str = ""
    mlflow_experiment: str = ""
    mlflow_secret: str = ""
    function: str = ""
    probe_minutes: int = 0

    @property
    def by(self) -> str:
        """This function in the audit record; empty outside Lambda."""
        return f"function {self.function}" if self.function else ""

    @classmethod
    def from_environment(cls) -> HandlerSettings:
        """Read the environment, or raise `ValueError` that names the missing variable."""
        return cls(
            endpoint=_required("ENDPOINT_NAME"),
            journal=_required("JOURNAL_TABLE"),
            topic=os.environ.get("ALERTS_TOPIC") or None,
            bucket=os.environ.get("ARTIFACT_BUCKET", ""),
            documents=os.environ.get("DOCUMENTS_TABLE", ""),
            group=os.environ.get("PACKAGE_GROUP", ""),
            stack=os.environ.get("MODELSTACK_STACK", ""),
            audit_key=os.environ.get("AUDIT_KEY", ""),
            mlflow=os.environ.get(SERVER, ""),
            mlflow_experiment=os.environ.get(EXPERIMENT, ""),
            mlflow_secret=os.environ.get(SECRET, ""),
            function=os.environ.get("AWS_LAMBDA_FUNCTION_NAME", ""),
            probe_minutes=int(os.environ.get("PROBE_MINUTES", "0")),
        )


def seconds_left(context: Context | None, *, most: float, reserve: float = 10.0) -> float:
    """How long a handler may wait: until `reserve` seconds before it is cut off, and at most `most`."""
    if context is None or not hasattr(context, "get_remaining_time_in_millis"):
        return most
    return max(0.0, min(most, context.get_remaining_time_in_millis() / 1000 - reserve))


def measuring() -> Measuring:
    """The variable `MONITORING`, which only the monitors have; `ValueError` if it is not allowed."""
    from modelstack.services.measuring import Measuring  # noqa: PLC0415 - it loads statistics

    try:
        return Measuring.from_dict(json.loads(os.environ.get(MONITORING, "{}")))
    except ValueError as error:
        raise ValueError(f"environment variable {MONITORING}: {error}") from None


def _required(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise ValueError(f"environment variable {name}: missing, expected what the stack's output of that name says")
    return value
