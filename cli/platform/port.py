"""What the commands need of a platform: the seam between what a person types and sees, and where the model runs.

    platform = platform_of(target)     # cli.platform.choose
    platform.state().phase, platform.endpoint().live.shares()

Everything raises OperatorError where the platform does not answer, or has no such thing; the message says which.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from cli.platform.facts import (
    AlarmInFull,
    AlarmView,
    Endpoint,
    QualityView,
    Series,
    ServedView,
    Spent,
)
from cli.platform.package_store import PackageStore
from monitoring.objectives.slo import Objective
from monitoring.predictions import Searched, Window
from retraining.record import RetrainingRecord
from rollout.core.release import Release
from rollout.core.state import RolloutState
from services.approvals import Approvals
from services.declaration.panels import Panel
from services.invoke import Invoke
from services.versions import Versions

if TYPE_CHECKING:  # they load the judge, which few commands need
    from rollout.controller.controller import Controller
    from rollout.controller.ports import Signals


class Graphs(Protocol):
    """The graphs of one endpoint."""

    def panels(self, interval: int) -> list[Panel]:
        """The panels of its dashboard, with at least so many seconds between two points."""
        ...

    def comparison(self, variants: Sequence[str], interval: int) -> list[Panel]:
        """The panels by which variants are compared: requests, failures, and latency."""
        ...

    def curves(self, panel: Panel, start: float, end: float) -> list[Series]:
        """The data of a panel between two times, epoch seconds.

        Raises:
            OperatorError: They cannot be read.
        """
        ...


class Platform(Protocol):
    """Where one endpoint runs."""

    def state(self) -> RolloutState:
        """The rollout state that the journal holds."""
        ...

    def endpoint(self) -> Endpoint:
        """What serves now."""
        ...

    def champion(self) -> Release | None:
        """What serves, as another stack reads it that takes its releases from here; None before the first."""
        ...

    def next_image(self, configured: str | None, taken: str | None) -> str | None:
        """The serving image of the next release; None where the config has to name one.

        Args:
            configured: What the config names.
            taken: The image of the release that is taken from another stack.
        """
        ...

    def alarms(self) -> tuple[AlarmView, ...]:
        """The alarms of the endpoint that tell somebody, composite ones last."""
        ...

    def alarms_in_full(self) -> list[AlarmInFull]:
        """Every alarm of the endpoint, with its last changes, composite ones first."""
        ...

    def versions(self) -> Versions:
        """The registry."""
        ...

    def package_store(self) -> PackageStore:
        """Where the packages are."""
        ...

    def registry_name(self) -> str:
        """How the place is called where the versions are."""
        ...

    def served(self, variants: Sequence[str], start: datetime, end: datetime) -> list[ServedView]:
        """How each of the variants answered between two times."""
        ...

    def spent(self, objective: Objective) -> Spent | None:
        """What counts against an objective, of its window until now; None while nobody can tell."""
        ...

    def quality(self, variants: Sequence[str]) -> tuple[QualityView, ...]:
        """How the variants stand by their labels; none of which nothing is known."""
        ...

    def bring_labels(self, name: str, content: bytes) -> str:
        """Bring a file of labels to where they are joined with answers; returns its address there."""
        ...

    def records(self) -> list[str]:
        """Every audit record as it is kept, a line each, the oldest first."""
        ...

    def records_key(self) -> bytes:
        """The public key of who signs the audit record, PEM or DER."""
        ...

    def prediction(self, word: str, window: Window) -> Searched:
        """Look for an answer by its id, or by the beginning of one; see `monitoring.predictions`."""
        ...

    def graphs(self) -> Graphs:
        """The graphs of its metrics."""
        ...

    def kept_aside(self, names: Iterable[str], seconds: float) -> Mapping[str, float]:
        """Metric -> how much could not be used in the seconds until now; see `cli.view.kept_aside`."""
        ...

    def delay(self) -> float:
        """Seconds that what was counted last had waited; 0 when nothing was within ten minutes."""
        ...

    def signals(self) -> Signals:
        """What both versions of a trial did, window by window."""
        ...

    def observer(self, signals: Signals) -> Controller:
        """A controller that is only asked for the status, and changes nothing."""
        ...

    def controller(self, who: str) -> Controller:
        """What changes the rollout, by the hand of somebody."""
        ...

    def caller(self) -> str:
        """Who asks, as their credentials say; empty where nobody tells in time, as a rollback does not wait."""
        ...

    def approvals(self) -> Approvals:
        """The approvals of the stack's releases."""
        ...

    def retraining(self) -> tuple[RetrainingRecord, bool]:
        """What is written of the retraining, and whether the stack has what retrains."""
        ...

    def retrain(self, action: str, reason: str) -> str:
        """Have done what a person wants of the retraining (`cli.retrain.ACTIONS`); what came of it, in a sentence."""
        ...

    def invoke(self, at_once: int = 1) -> Invoke:
        """What sends requests to the endpoint, so many at once; if more than one, it never sends a request twice."""
        ...

    def url(self) -> tuple[str, str, ssl.SSLContext | bool]:
        """Where unsigned HTTP reaches the endpoint, and how.

        Returns:
            The URL, the Host by which the endpoint is known there (empty for the URL's own), and what the certificate
            of an https one is checked by (True: the authorities that this system knows).
        """
        ...
