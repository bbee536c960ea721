"""All that the comment on a pull request is made of, each part of it known or missing with its reason. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cli.report.compared import Compared
from cli.report.duration import Foreseen, Traffic
from cli.report.infrastructure import Prices
from cli.report.preview import Preview
from monitoring.statistics.profile import Profile
from rollout.core.restored import Restored


@dataclass(frozen=True)
class Missing:
    """Something that is not known.

    Attributes:
        why: In a sentence without its full stop.
        failed: Whether the pull request is to blame for it.
    """

    why: str
    failed: bool = False


@dataclass(frozen=True)
class Package:
    """What a sealed package says of itself.

    Attributes:
        digest: `sha256:<hex>` of its archive.
        recipe: The recipe's digest.
        bytes: How large the archive is.
        parameters: The model's.
        metrics: Metric -> value, as it was evaluated.
        training: On how many rows it was trained, and when these were; as `metrics.json` has it.
        profile: What it was trained on; None when the package does not tell.
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
    """How long a server of this checkout takes for one request, on the machine that wrote the report.

    Attributes:
        p50_ms: Half of the answers are faster, milliseconds.
        p99_ms: 99 of 100 are.
    """

    p50_ms: float
    p99_ms: float


@dataclass(frozen=True)
class Facts:
    """What is known of a pull request.

    Attributes:
        stack: The stack that it would be released on.
        preview: What Pulumi says.
        prices: Of instances.
        champion: What serves there.
        champion_config: The endpoint config that serves it; None when nothing does.
        challenger: What this checkout builds.
        compared: Both on the same rows.
        latency: Of both; the champion's is None when there is none.
        traffic: What the champion was asked in the last day.
        rollout: How long the rollout takes.
        gates: Why the challenger is below its gates; empty when it is not.
        seconds: How long the report took without training.
        trained: How long training and evaluating took, seconds; 0 when the recipe was built before.
        restored: What a person restored there: until that is lifted, an update releases it and not this checkout.
    """

    stack: str
    preview: Preview
    prices: Prices
    champion: Package | Missing
    champion_config: str | None
    challenger: Package | Missing
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
        """Whether this checkout builds the package that serves."""
        champion, challenger = self.champion, self.challenger
        if isinstance(champion, Missing) or isinstance(challenger, Missing):
            return False
        return champion.digest == challenger.digest

    @property
    def unchanged(self) -> bool:
        """Whether nothing would happen at all."""
        stopped = any(item.stops for item in self.preview.findings)
        return self.same_model and self.preview.code == 0 and not self.preview.changes and not stopped

    @property
    def good(self) -> bool:
        """Whether the preview succeeds, and nothing that the pull request is to blame for failed."""
        parts = (self.challenger, self.compared, self.latency, self.rollout)
        return (
            self.preview.code == 0
            and not self.gates
            and not any(isinstance(part, Missing) and part.failed for part in parts)
        )
