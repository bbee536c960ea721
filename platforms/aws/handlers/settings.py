"""What a handler is told by its environment."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Protocol

from platforms.mirroring import EXPERIMENT, SECRET
from tracking.variables import SERVER


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
        false_alarms: `DRIFT_FALSE_ALARMS`, how many of drift are tolerated a year and variant.
        drift_every: `DRIFT_MINUTES`, how often drift is measured, as seconds.
        documents: `DOCUMENTS_TABLE`, the DynamoDB table of labels and drift.
        group: `PACKAGE_GROUP`, the model package group.
        stack: `MODELSTACK_STACK`, which messages name in the commands that they tell.
        labels_wait: `LABELS_WAIT_SECONDS`, how long a label waits for its answer before it counts as unknown.
        segments: `LABELS_SEGMENTS`, a JSON list of columns by which errors are told apart.
        labels_days: `LABELS_DAYS`, after how many days the labels of a day have come.
        loss_rise: `LABELS_LOSS_RISE`, by which share of the sealed loss it may rise.
        concept_false_alarms: `CONCEPT_FALSE_ALARMS`, how many of a moved concept are tolerated a year and variant.
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
    false_alarms: float = 0.05
    drift_every: float = 3600.0
    documents: str = ""
    group: str = ""
    stack: str = ""
    labels_wait: float = 3600.0
    segments: tuple[str, ...] = ()
    labels_days: float = 1.0
    loss_rise: float = 0.05
    concept_false_alarms: float = 0.1
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
            false_alarms=_share("DRIFT_FALSE_ALARMS", "0.05"),
            drift_every=60.0 * _whole("DRIFT_MINUTES", "60"),
            documents=os.environ.get("DOCUMENTS_TABLE", ""),
            group=os.environ.get("PACKAGE_GROUP", ""),
            stack=os.environ.get("MODELSTACK_STACK", ""),
            labels_wait=float(_whole("LABELS_WAIT_SECONDS", "3600")),
            segments=tuple(json.loads(os.environ.get("LABELS_SEGMENTS", "[]"))),
            labels_days=float(os.environ.get("LABELS_DAYS", "1")),
            loss_rise=float(os.environ.get("LABELS_LOSS_RISE", "0.05")),
            concept_false_alarms=_share("CONCEPT_FALSE_ALARMS", "0.1"),
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


def _whole(name: str, default: str) -> int:
    value = os.environ.get(name, default)
    if not value.isdecimal() or int(value) < 1:
        raise ValueError(f"environment variable {name}: got {value!r}, expected a whole number above 0")
    return int(value)


def _share(name: str, default: str) -> float:
    value = os.environ.get(name, default)
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 0 < number < 1:
        raise ValueError(f"environment variable {name}: got {value!r}, expected a number above 0 and below 1")
    return number


def _required(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise ValueError(f"environment variable {name}: missing, expected what the stack's output of that name says")
    return value
