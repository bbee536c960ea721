"""The port between the commands and the platform of an endpoint.

A platform implements the abstract methods. The others have a default: nothing was measured, or an OperatorError that
the command does not work there. Methods also raise OperatorError where the platform does not answer.
"""

from __future__ import annotations

import ssl
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from modelstack.cli.platform.facts import AlarmInFull, AlarmView, EndpointState, QualityView, Series, ServedView, Spent
from modelstack.cli.platform.package_store import PackageStore
from modelstack.cli.target import Target, unsupported
from modelstack.monitoring.objectives.slo import Objective
from modelstack.monitoring.predictions import Searched, Window
from modelstack.monitoring.retraining.record import RetrainingRecord
from modelstack.rollout.core.release import Release
from modelstack.rollout.core.state import RolloutState
from modelstack.services.approvals import Approvals
from modelstack.services.declaration.panels import Panel
from modelstack.services.invoke import Invoke
from modelstack.services.versions import Versions

if TYPE_CHECKING:  # they load the judge, which few commands need
    from modelstack.rollout.controller.controller import Controller
    from modelstack.rollout.controller.ports import Signals


class Graphs:
    """The graphs of one endpoint, by default none; `interval` is the minimum number of seconds between two points."""

    def panels(self, interval: int) -> list[Panel]:
        """The panels of its dashboard."""
        return []

    def comparison(self, variants: Sequence[str], interval: int) -> list[Panel]:
        """Panels that compare variants: requests, failures, and latency."""
        return []

    def curves(self, panel: Panel, start: float, end: float) -> list[Series]:
        """The data of a panel between two times, epoch seconds."""
        return []


@dataclass(frozen=True)
class Platform(ABC):
    """Where one endpoint runs."""

    target: Target

    @abstractmethod
    def state(self) -> RolloutState:
        """The rollout state in the journal."""

    @abstractmethod
    def endpoint(self) -> EndpointState:
        """The serving endpoint."""

    @abstractmethod
    def alarms_in_full(self) -> list[AlarmInFull]:
        """All alarms with their last changes, composite ones first."""

    @abstractmethod
    def versions(self) -> Versions:
        """The registry."""

    @abstractmethod
    def package_store(self) -> PackageStore:
        """The packages."""

    @abstractmethod
    def signals(self) -> Signals:
        """Counts of both versions of a trial, by window."""

    @abstractmethod
    def controller(self, who: str = "", signals: Signals | None = None) -> Controller:
        """A controller that changes the rollout on behalf of `who`; without a name, one for reading the status only."""

    def champion(self) -> Release | None:
        """The champion, as a stack reads it that takes releases from this one; None before the first."""
        return self.state().champion

    def next_image(self, configured: str | None, taken: str | None) -> str | None:
        """The next release's serving image, from the config or another stack; None where the config must name one."""
        return configured or taken

    def alarms(self) -> tuple[AlarmView, ...]:
        """Alarms that notify somebody, composite ones last."""
        return tuple(item.alarm for item in self.alarms_in_full())

    def stopped(self) -> tuple[str, ...]:
        """Each part that does the stack's work and was deleted or disabled, in a few words; takes several requests."""
        return ()

    def registry_name(self) -> str:
        """The registry's name."""
        return self.target.endpoint

    def served(self, variants: Sequence[str], start: datetime, end: datetime) -> list[ServedView]:
        """The variants' traffic between two times, for those with counts."""
        return []

    def spent(self, objective: Objective) -> Spent | None:
        """Consumption of an objective in its window until now; None while unknown."""
        return None

    def quality(self, variants: Sequence[str]) -> tuple[QualityView, ...]:
        """The variants' quality, for those with labels or estimates."""
        return ()

    def bring_labels(self, name: str, content: bytes) -> str:
        """Upload a file of labels; returns its address."""
        raise unsupported(self.target)

    def records(self) -> list[str]:
        """Every audit record, a line each, oldest first."""
        raise unsupported(self.target)

    def records_key(self) -> bytes:
        """The public key of the audit record, PEM or DER."""
        return self.target.output("audit_key").encode()

    def prediction(self, word: str, window: Window) -> Searched:
        """Search a prediction by its id or the beginning of one; see `modelstack.monitoring.predictions`."""
        raise unsupported(self.target)

    def graphs(self) -> Graphs:
        """The graphs of its metrics."""
        return Graphs()

    def kept_aside(self, names: Iterable[str], seconds: float) -> Mapping[str, float]:
        """Metric -> amount of unusable data in the last seconds; see `modelstack.cli.view.kept_aside`."""
        return {}

    def delay(self) -> float:
        """Seconds that the last counted capture had waited; 0 without one within ten minutes."""
        return 0.0

    def caller(self) -> str:
        """The caller's identity; empty if it is not known quickly, because a rollback does not wait."""
        return ""

    def approvals(self) -> Approvals:
        """The approvals of the stack's releases."""
        raise unsupported(self.target)

    def retraining(self) -> tuple[RetrainingRecord, bool]:
        """The retraining record, and whether the stack can retrain."""
        return RetrainingRecord(), False

    def retrain(self, action: str, reason: str) -> str:
        """Run a retraining action (`modelstack.cli.retrain.ACTIONS`); returns a sentence with the result."""
        raise unsupported(self.target)

    def invoke(self, at_once: int = 1) -> Invoke:
        """A client for so many concurrent requests; if more than one, it never sends a request twice."""
        raise unsupported(self.target)

    def url(self) -> tuple[str, str, ssl.SSLContext | bool]:
        """Where `invoke` sends, the Host header (empty for the URL's own), and the TLS trust (True: the system's)."""
        raise unsupported(self.target)

    def headers(self, body: bytes, content_type: str) -> Mapping[str, str]:
        """Further headers of a request to `url`, such as its signature, valid for more than two minutes."""
        return {}
