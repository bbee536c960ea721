"""What a handler is told by its environment."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from platforms.aws.names import MONITORING
from tracking.variables import EXPERIMENT, SECRET, SERVER

if TYPE_CHECKING:
    from services.measuring import Measuring


class Context(Protocol):
    """What Lambda tells a handler about its call."""

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the call is cut off."""
        ...


@dataclass(frozen=True)
class Settings:
    """The environment variables of a handler.

    Attributes:
        endpoint: `ENDPOINT_NAME`.
        journal: `JOURNAL_TABLE`, the DynamoDB table.
        topic: `ALERTS_TOPIC`, an ARN; None without.
        bucket: `ARTIFACT_BUCKET`, where packages and captures lie.
        documents: `DOCUMENTS_TABLE`, the DynamoDB table of labels and drift.
        group: `PACKAGE_GROUP`, the model package group.
        stack: `MODELSTACK_STACK`, which messages name in the commands that they tell.
        audit_key: `AUDIT_KEY`, the ARN of the key that signs the audit record; empty of a function that does not sign.
        mlflow: `MLFLOW_TRACKING_URI`, the MLflow that is told how rollouts stand; empty without.
        mlflow_experiment: `MLFLOW_EXPERIMENT_NAME`, the experiment of the stack's runs; by default its endpoint's name.
        mlflow_secret: `MLFLOW_SECRET`, the name of the secret that it is signed in to with; empty without.
        function: `AWS_LAMBDA_FUNCTION_NAME`, which Lambda sets.
    """

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

    @property
    def by(self) -> str:
        """How the audit record names this function; empty outside Lambda."""
        return f"function {self.function}" if self.function else ""

    @classmethod
    def from_environment(cls) -> Settings:
        """Read the environment.

        Raises:
            ValueError: A variable is missing or not allowed; the message names it.
        """
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
        )


def seconds_left(context: Context | None, *, most: float, reserve: float = 10.0) -> float:
    """How long a handler may wait: until `reserve` seconds before it is cut off, and at most `most`."""
    if context is None or not hasattr(context, "get_remaining_time_in_millis"):
        return most
    return max(0.0, min(most, context.get_remaining_time_in_millis() / 1000 - reserve))


def measuring() -> Measuring:
    """What is measured, and how often: the variable `MONITORING`, which only the monitors have.

    Raises:
        ValueError: It is not allowed; the message names it.
    """
    from services.measuring import Measuring  # noqa: PLC0415 - it loads statistics

    try:
        return Measuring.from_dict(json.loads(os.environ.get(MONITORING, "{}")))
    except ValueError as error:
        raise ValueError(f"environment variable {MONITORING}: {error}") from None


def _required(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise ValueError(f"environment variable {name}: missing, expected what the stack's output of that name says")
    return value
