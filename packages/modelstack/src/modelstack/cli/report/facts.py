"""The facts of the comment on a pull request; each part is known, or missing with a reason. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from modelstack.cli.errors import REFUSED
from modelstack.cli.report.compared import Compared
from modelstack.cli.report.duration import Foreseen, Traffic
from modelstack.cli.report.infrastructure import Prices
from modelstack.cli.report.preview import Preview
from modelstack.monitoring.statistics.profile import Profile
from modelstack.rollout.core.restored import Restored


@dataclass(frozen=True)
class Missing:
    """A part that is not known, with a reason; `code` is an exit code: 1 if the pull request caused it.

    `warns` puts the reason on top of the report.
    """

    why: str
    code: int = 0
    warns: bool = False

    @property
    def failed(self) -> bool:
        """Whether the pull request caused it."""
        return self.code == REFUSED


@dataclass(frozen=True)
class PackageFacts:
    """Content of a sealed package.

    Attributes:
        digest: `sha256:<hex>` of its archive.
        training: Number and times of the training rows, as in `metrics.json`.
        profile: Of the training data; None without one.
        fast: Whether it has a fast form.
    """

    digest: str
    recipe: str
    bytes: int
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])
    metrics: Mapping[str, float] = field(default_factory=dict[str, float])
    training: Mapping[str, Any] = field(default_factory=dict[str, Any])
    profile: Profile | None = None
    fast: bool = False


@dataclass(frozen=True)
class Latency:
    """Latency of one request at a time to a server of this checkout, on the reporting machine."""

    p50_ms: float
    p99_ms: float


@dataclass(frozen=True)
class Facts:
    """Facts of a pull request.

    Attributes:
        champion_config: The serving endpoint config; None without one.
        latency: The champion's (None without one) and the challenger's.
        gates: Why the challenger is below its gates; empty if it is not.
        seconds: Duration of the report without training.
        trained: Seconds of training and evaluation; 0 if the recipe was built before.
        restored: The restored release, which updates release instead of this checkout.
    """

    stack: str
    preview: Preview
    prices: Prices
    champion: PackageFacts | Missing
    champion_config: str | None
    challenger: PackageFacts | Missing
    compared: Compared | Missing
    latency: tuple[Latency | None, Latency] | Missing
    traffic: Traffic | Missing
    rollout: Foreseen | Missing
    gates: str = ""
    seconds: float = 0.0
    trained: float = 0.0
    restored: Restored | None = None

    @property
    def same_model(self) -> bool:
        """Whether this checkout builds the serving package."""
        champion, challenger = self.champion, self.challenger
        if isinstance(champion, Missing) or isinstance(challenger, Missing):
            return False
        return champion.digest == challenger.digest

    @property
    def unchanged(self) -> bool:
        """Whether nothing would happen."""
        stopped = any(item.stops for item in self.preview.findings)
        return self.same_model and self.preview.code == 0 and not self.preview.changes and not stopped

    @property
    def problems(self) -> list[tuple[int, str]]:
        """Each cause that keeps the answer from being yes, with its exit code; the first one has the command's."""
        seen, parts = self.preview, (self.challenger, self.champion, self.rollout)
        found = [(seen.exit_code, f"the preview fails: {seen.cause}")] if seen.exit_code else []
        found += [(REFUSED, self.gates)] if self.gates else []
        found += [(part.code, part.why) for part in parts if isinstance(part, Missing) and part.code]
        return sorted(dict.fromkeys(found), key=lambda one: one[0])

    @property
    def exit_code(self) -> int:
        """0: nothing stands against the change; 1: something does; 2: wrong config; 3: it could not be found out."""
        return self.problems[0][0] if self.problems else 0
