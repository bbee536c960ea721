"""The section `modelstack:rollout`: the strategy and the judge of a trial.

    strategy: {kind: shadow, percent: 50, bake_seconds: 600, then: {kind: canary, weight: 10, bake_seconds: 300}}
    judge: {min_requests: 500, metrics: {errors: {margin: 0.01}, log_loss: {margin: 0.05}}}

The rules themselves are in `modelstack/rollout/core`; here their errors get the field's path. A trial that could never
end in a verdict is refused too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from modelstack.program.config.judge_settings import JudgeSettings, in_shadow
from modelstack.program.config.problems import Problem, Wrong
from modelstack.program.config.section import Section
from modelstack.program.config.strategy_settings import AB, Percent, Shadow, Steps, StepSettings, Strategy
from modelstack.program.config.whole_numbers import whole
from modelstack.rollout.core.plan import (
    LONGEST,
    Guard,
    GuardKind,
    OnTimeout,
    OnTooFew,
    Plan,
    PlanError,
    ReplayGate,
)
from modelstack.rollout.core.warm_up import PER_INSTANCE
from modelstack.services.guardrails import FEWEST_TO_ROLL, guardrail

Share = Annotated[float, Field(ge=0, le=1)]
Requests = Annotated[int, Field(ge=1, le=10_000)]


class ReplaySettings(Section):
    """What captured requests of the champion must show of a challenger before it gets any live traffic."""

    requests: Requests = Field(
        default=ReplayGate.requests,
        description="How many requests are replayed: the latest of the last 48 h first, for 60 s at most.",
    )
    max_errors: Share = Field(
        default=ReplayGate.max_errors, description="Share of answers that may be errors, or of another form."
    )
    max_changed: Share = Field(
        default=ReplayGate.max_changed, description="Share of answers whose decision may differ."
    )
    max_latency_ratio: float = Field(
        default=ReplayGate.max_latency_ratio,
        ge=0.1,
        le=1000,
        description="Largest ratio of the median latencies, challenger / champion.",
    )

    min_requests: Requests = Field(
        default=ReplayGate.min_requests,
        description="If fewer were captured, the gate cannot be checked, and on_too_few happens. Never more than "
        "requests.",
    )
    on_too_few: OnTooFew = Field(
        default=ReplayGate.on_too_few,
        description="wait: wait for more, within max_minutes. pass: judge by what is there, and say so in the verdict.",
    )

    def gate(self) -> ReplayGate:
        """The plan's replay gate."""
        return ReplayGate(**self.model_dump())


class InfrastructureSettings(Section):
    """How the traffic moves when only the instances or pods change; the champion's alarms make it go back."""

    kind: GuardKind = Field(default="canary", description="How the capacity moves.")
    percent: Percent = Field(
        default=50, description="The share of the canary, of each step or of each batch, in percent."
    )
    bake_seconds: int = Field(default=60, ge=0, le=3600, description="How long to wait after each step.")

    @model_validator(mode="after")
    def _taken(self) -> Self:
        wrong = self.refused(FEWEST_TO_ROLL)  # Settings checks the real instance count
        if wrong is not None:
            raise Wrong([wrong])
        return self

    def guard(self, alarms: Sequence[str], instances: int) -> Guard:
        """The plan's guard for a number of instances; PlanError with the arithmetic if SageMaker would refuse it."""
        return guardrail(self.kind, self.percent, self.bake_seconds, alarms, instances)

    def refused(self, instances: int) -> Problem | None:
        """Why SageMaker would refuse it; None when it would not."""
        try:
            self.guard((), instances)
        except PlanError as error:
            return Problem(error.field.removeprefix("infrastructure"), error.rule, error.value)
        return None


class RolloutSettings(Section):
    """How a challenger earns its traffic."""

    wait: bool = Field(default=True, description="Whether `pulumi up` waits for the verdict, and fails on a rollback.")
    strategy: Strategy = Field(
        default_factory=lambda: Steps(
            steps=[StepSettings(weight=10, bake_seconds=300), StepSettings(weight=50, bake_seconds=300)]
        ),
        description="How traffic shifts to the challenger.",
    )
    judge: JudgeSettings = Field(default_factory=JudgeSettings, description="What a challenger must show.")
    replay: ReplaySettings | None = Field(
        default_factory=ReplaySettings,
        description="The replay gate: captured requests that are asked again before any live traffic. Null: no gate. "
        "A shadow test without live steps has none by default.",
    )
    infrastructure: InfrastructureSettings | None = Field(
        default_factory=InfrastructureSettings,
        description="How the traffic moves when only the instances or pods change. Null: all at once, without a wait.",
    )
    max_minutes: float = Field(
        default=60,
        gt=0,
        le=LONGEST / 60,
        validate_default=True,
        description="The longest that a trial may take. The time in which instances start counts. Waits for approvals "
        "do not.",
    )
    on_timeout: OnTimeout = Field(
        default="roll_back",
        description="What happens when max_minutes are over. Never a promotion. hold keeps the challenger's share "
        "until a person rolls it back or gives it as much time again (`modelstack approve`), or until a "
        "newer release supersedes it.",
    )
    watch_minutes: float = Field(
        default=60,
        ge=0,
        le=30 * 24 * 60,
        description="For how long after a promotion an alarm brings the previous champion back.",
    )

    metrics_timeout_minutes: float = Field(
        default=Plan.metrics_timeout_seconds / 60,
        ge=0.5,
        le=LONGEST / 60,
        description="For how long the challenger keeps a share of traffic that it has not proven while no requests of "
        "both versions are counted: the metrics are unreachable, or two windows in a row are overdue. Then it goes "
        "back to the share of the last step that passed, or to 0.",
    )

    @field_validator("replay")
    @classmethod
    def _asked_by_name(cls, replay: ReplaySettings | None, info: ValidationInfo) -> ReplaySettings | None:
        if replay is not None and _only_copies(info.data.get("strategy")):
            raise ValueError(
                "requests are replayed before the first live step, and this strategy has none before the promotion; "
                "allowed is null, or a `then` in the strategy"
            )
        return replay

    @field_validator("max_minutes")
    @classmethod
    def _fits(cls, minutes: float, info: ValidationInfo) -> float:
        strategy = info.data.get("strategy")
        bakes = [step.bake_seconds for step in strategy.shares()] if strategy is not None else []
        if sum(bakes) >= minutes * 60:
            raise ValueError(f"the steps bake for {_summed(bakes)} s; {_above(sum(bakes))}")
        return minutes

    @model_validator(mode="after")
    def _provable(self) -> Self:
        wrong = in_shadow(self.judge.metrics) if self.copied is not None else []
        if wrong:
            raise Wrong([problem.under(".judge.metrics") for problem in wrong])
        return self

    @property
    def copied(self) -> int | None:
        """Percent of requests that are first copied to a challenger; None for a strategy without shadow."""
        return self.strategy.percent if isinstance(self.strategy, Shadow) else None

    @property
    def split(self) -> tuple[str, AB] | None:
        """The strategy's A/B test with its field; None without one."""
        if isinstance(self.strategy, Shadow):
            return (".strategy.then", self.strategy.then) if isinstance(self.strategy.then, AB) else None
        return (".strategy", self.strategy) if isinstance(self.strategy, AB) else None

    @property
    def sticky_header(self) -> str:
        """The request header that decides which version answers; empty when none does."""
        return (self.split[1].sticky_header or "") if self.split else ""

    @property
    def asks(self) -> bool:
        """Whether a trial waits for a person's approval, which may outlast the update."""
        return any(step.approve for step in self.strategy.shares())

    def plan(
        self, window_seconds: int, guard: Guard | None = None, *, max_failed: float = 1.0, instances: int = 0
    ) -> Plan:
        """The controller's plan.

        `guard` moves traffic when only the champion's instances change. `max_failed` is the share of requests that may
        fail, in both versions, while a challenger advances. `instances` is the number of the challenger's.
        """
        replayed = self.replay is not None and not _only_copies(self.strategy)
        return Plan(
            steps=self.strategy.shares(),
            metrics=tuple(item.of(name) for name, item in self.judge.metrics.items()),
            min_requests=self.judge.min_requests,
            alpha=self.judge.alpha,
            promote_when=self.judge.promote_when,
            max_seconds=self.max_minutes * 60,
            on_timeout=self.on_timeout,
            window_seconds=window_seconds,
            watch_seconds=self.watch_minutes * 60,
            metrics_timeout_seconds=self.metrics_timeout_minutes * 60,
            warm_up_requests=PER_INSTANCE * instances,
            replay=self.replay.gate() if self.replay and replayed else None,
            guard=guard,
            max_failed=max_failed,
        )

    def too_short(self, window_seconds: int) -> Problem | None:
        """Why the trial can never end in time; None when it can.

        A step ends on requests of a settled window that began in it, so it lasts at least a window and its settling.
        """
        plan = self.plan(window_seconds)
        least = window_seconds + plan.settle
        needed = [max(step.bake_seconds, least) for step in plan.steps]
        if plan.at_once or sum(needed) < plan.max_seconds:
            return None
        return Problem(
            ".max_minutes",
            f"the steps take {_summed(needed)} s at least, as each is judged on a whole window of "
            f"monitoring.period_seconds = {window_seconds} s that ended {plan.settle:g} s ago; {_above(sum(needed))}",
            whole(self.max_minutes),
        )


def _only_copies(strategy: object) -> bool:
    return isinstance(strategy, Shadow) and strategy.then is None


def _summed(seconds: Sequence[float]) -> str:
    """A sum with its terms: `30 + 60 = 90`, `9 x 300 = 2700`."""
    total = f"{sum(seconds):g}"
    if len(seconds) < 2:
        return total
    same = len(set(seconds)) == 1
    terms = f"{len(seconds)} x {seconds[0]:g}" if same else " + ".join(f"{item:g}" for item in seconds)
    return f"{terms} = {total}"


def _above(seconds: float) -> str:
    return f"allowed is a number above {seconds / 60:g}, up to {LONGEST / 60:g}"
