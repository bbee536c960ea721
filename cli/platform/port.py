"""The port between the commands and the platform of an endpoint.

Methods raise OperatorError where the platform does not answer, or does not support the call.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from cli.platform.facts import AlarmInFull, AlarmView, EndpointState, QualityView, Series, ServedView, Spent
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
    """The graphs of one endpoint; `interval` is the minimum number of seconds between two points."""

    def panels(self, interval: int) -> list[Panel]:
        """The panels of its dashboard."""

    def comparison(self, variants: Sequence[str], interval: int) -> list[Panel]:
        """Panels that compare variants: requests, failures, and latency."""

    def curves(self, panel: Panel, start: float, end: float) -> list[Series]:
        """The data of a panel between two times, epoch seconds."""


class Platform(Protocol):
    """Where one endpoint runs."""

    def state(self) -> RolloutState:
        """The rollout state in the journal."""

    def endpoint(self) -> EndpointState:
        """The serving endpoint."""

    def champion(self) -> Release | None:
        """The champion, as a stack reads it that takes releases from this one; None before the first."""

    def next_image(self, configured: str | None, taken: str | None) -> str | None:
        """The next release's serving image, from the config or another stack; None where the config must name one."""

    def alarms(self) -> tuple[AlarmView, ...]:
        """Alarms that notify somebody, composite ones last."""

    def alarms_in_full(self) -> list[AlarmInFull]:
        """All alarms with their last changes, composite ones first."""

    def versions(self) -> Versions:
        """The registry."""

    def package_store(self) -> PackageStore:
        """The packages."""

    def registry_name(self) -> str:
        """The registry's name."""

    def served(self, variants: Sequence[str], start: datetime, end: datetime) -> list[ServedView]:
        """The variants' traffic between two times."""

    def spent(self, objective: Objective) -> Spent | None:
        """Consumption of an objective in its window until now; None while unknown."""

    def quality(self, variants: Sequence[str]) -> tuple[QualityView, ...]:
        """The variants' quality, for those with labels or estimates."""

    def bring_labels(self, name: str, content: bytes) -> str:
        """Upload a file of labels; returns its address."""

    def records(self) -> list[str]:
        """Every audit record, a line each, oldest first."""

    def records_key(self) -> bytes:
        """The public key of the audit record, PEM or DER."""

    def prediction(self, word: str, window: Window) -> Searched:
        """Search a prediction by its id or the beginning of one; see `monitoring.predictions`."""

    def graphs(self) -> Graphs:
        """The graphs of its metrics."""

    def kept_aside(self, names: Iterable[str], seconds: float) -> Mapping[str, float]:
        """Metric -> amount of unusable data in the last seconds; see `cli.view.kept_aside`."""

    def delay(self) -> float:
        """Seconds that the last counted capture had waited; 0 without one within ten minutes."""

    def signals(self) -> Signals:
        """Counts of both versions of a trial, by window."""

    def observer(self, signals: Signals) -> Controller:
        """A controller for reading the status only."""

    def controller(self, who: str) -> Controller:
        """A controller that changes the rollout on behalf of `who`."""

    def caller(self) -> str:
        """The caller's identity; empty if it is not known quickly, because a rollback does not wait."""

    def approvals(self) -> Approvals:
        """The approvals of the stack's releases."""

    def retraining(self) -> tuple[RetrainingRecord, bool]:
        """The retraining record, and whether the stack can retrain."""

    def retrain(self, action: str, reason: str) -> str:
        """Run a retraining action (`cli.retrain.ACTIONS`); returns a sentence with the result."""

    def invoke(self, at_once: int = 1) -> Invoke:
        """A client for so many concurrent requests; if more than one, it never sends a request twice."""

    def url(self) -> tuple[str, str, ssl.SSLContext | bool]:
        """URL for unsigned HTTP, the Host header (empty for the URL's own), and the TLS trust (True: the system's)."""
