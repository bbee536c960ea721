"""The section `modelstack:rollout`: by which strategy a challenger earns its traffic, and by what it is judged.

    strategy: {kind: shadow, percent: 50, bake_seconds: 600, then: {kind: canary, weight: 10, bake_seconds: 300}}
    judge: {min_requests: 500, metrics: {errors: {margin: 0.01}, log_loss: {margin: 0.05}}}

The rules of a plan are those of `plan`, `strategies` and `catalogue` in `rollout/core`; here they get the field's path.
What can never end in a verdict is refused too.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from infra.config import provable
from infra.config.problems import Problem, Wrong, meant
from infra.config.section import Section
from infra.config.whole_numbers import whole
from platforms.aws.guardrails import FEWEST_TO_ROLL, guardrail
from rollout.core import catalogue, strategies
from rollout.core.plan import (
    LONGEST,
    Guard,
    GuardKind,
    OnTimeout,
    OnTooFew,
    Plan,
    PlanError,
    PromoteWhen,
    ReplayGate,
    Step,
)
from rollout.judge.metrics import Metric, MetricError

Weight = Annotated[int, Field(ge=1, le=99)]
Percent = Annotated[int, Field(ge=1, le=100)]
Seconds = Annotated[float, Field(ge=0, le=LONGEST)]
Share = Annotated[float, Field(ge=0, le=1)]
Requests = Annotated[int, Field(ge=1, le=10_000)]
Bake = Annotated[Seconds, Field(description="The least time at this weight.")]
Given = Annotated[Weight, Field(description="The challenger's percent of traffic.")]
Approve = Annotated[bool, Field(description="Whether a person must approve after this step: `modelstack approve`.")]


class StepSettings(Section):
    """One share of traffic, held for a while."""

    weight: Weight = Field(description="The challenger's percent of traffic; 100 is the promotion.")
    bake_seconds: Bake
    approve: Approve = False


class AllAtOnce(Section):
    """Everything at once: no champion is left to compare with, so that only the alarms judge."""

    kind: Literal["all_at_once"] = Field(default="all_at_once", description="Names the strategy.")
    bake_seconds: Seconds = Field(description="How long the alarms are watched before the promotion.")

    def shares(self) -> tuple[Step, ...]:
        """The steps of the plan."""
        return strategies.all_at_once(self.bake_seconds)


class Canary(Section):
    """One small share, then everything."""

    kind: Literal["canary"] = Field(default="canary", description="Names the strategy.")
    weight: Given
    bake_seconds: Bake

    def shares(self) -> tuple[Step, ...]:
        """The steps of the plan."""
        return strategies.canary(self.weight, self.bake_seconds)


class Linear(Section):
    """Equal steps up."""

    kind: Literal["linear"] = Field(default="linear", description="Names the strategy.")
    step_percent: int = Field(ge=1, le=50, description="How many percent of traffic each step adds.")
    bake_seconds: Seconds = Field(description="The least time at each weight.")

    def shares(self) -> tuple[Step, ...]:
        """The steps of the plan."""
        return strategies.linear(self.step_percent, self.bake_seconds)


class Steps(Section):
    """Shares of one's own."""

    kind: Literal["steps"] = Field(default="steps", description="Names the strategy.")
    steps: Annotated[list[StepSettings], Field(min_length=1, max_length=20)] = Field(
        description="The shares of traffic, ascending; the promotion to 100 follows the last."
    )

    @field_validator("steps")
    @classmethod
    def _ascending(cls, steps: list[StepSettings]) -> list[StepSettings]:
        weights = [step.weight for step in steps]
        if any(later <= earlier for earlier, later in itertools.pairwise(weights)):
            raise ValueError(f"the weights are {weights}; allowed are weights that ascend, each at most once")
        return steps

    def shares(self) -> tuple[Step, ...]:
        """The steps of the plan."""
        return strategies.steps([Step(at.weight, at.bake_seconds, approve=at.approve) for at in self.steps])


class AB(Section):
    """A fixed split, for a time or until the judge knows."""

    kind: Literal["ab"] = Field(default="ab", description="Names the strategy.")
    weight: Given
    seconds: float | None = Field(
        default=None,
        gt=0,
        le=LONGEST,
        description="The least time of the test. Null: until the judge knows.",
    )

    def shares(self) -> tuple[Step, ...]:
        """The steps of the plan."""
        return strategies.ab(self.weight, self.seconds)


Live = Annotated[Canary | Linear | Steps | AB, Field(discriminator="kind")]


class Shadow(Section):
    """Copies of the champion's requests, the answers never returned; then live steps, or the promotion."""

    kind: Literal["shadow"] = Field(default="shadow", description="Names the strategy.")
    percent: Percent = Field(description="How many percent of the requests are copied to the challenger.")
    bake_seconds: Seconds = Field(description="The least time of copying.")
    approve: Approve = False
    then: Live | None = Field(
        default=None, description="The live steps that follow. Null: the promotion follows at once."
    )

    def shares(self) -> tuple[Step, ...]:
        """The steps of the plan."""
        copied, *live = strategies.shadow(self.percent, self.bake_seconds, then=self.then.shares() if self.then else ())
        return (replace(copied, approve=self.approve), *live)


Strategy = Annotated[AllAtOnce | Canary | Linear | Steps | AB | Shadow, Field(discriminator="kind")]


class MetricSettings(Section):
    """What is given of a metric; what is left out is taken from `rollout.core.catalogue`."""

    margin: float | None = Field(
        default=None,
        ge=0,
        description="How much worse the challenger may be. For a rate or a mean in its own unit (0.02 of errors is "
        "two percentage points), for a latency relative to the champion's (0.5 is 50% slower). With 0, an "
        "equal challenger is hardly ever shown not worse.",
    )
    prove: bool | None = Field(
        default=None,
        description="Whether every step must show that the challenger is not worse, by evidence of 1 / alpha. If not, "
        "only the promotion waits for the metric, for evidence of 10, and not for labels that do not "
        "come.",
    )
    low: float | None = Field(default=None, description="For a mean: the least value of one observation.")
    high: float | None = Field(
        default=None,
        description="For a mean: the greatest value of one observation. Needed for absolute_error and for a mean of "
        "your own.",
    )
    kind: Literal["rate", "mean"] | None = Field(
        default=None, description="For a metric of your own: rate (0 or 1 for each answer) or mean."
    )
    better: Literal["lower", "higher"] | None = Field(
        default=None, description="For a metric of your own: which direction is good."
    )
    namespace: str | None = Field(
        default=None, min_length=1, description="For a metric of your own: its CloudWatch namespace."
    )
    metric: str | None = Field(
        default=None, min_length=1, description="For a metric of your own: its name in CloudWatch."
    )

    def of(self, name: str) -> Metric:
        """The metric of a name.

        Raises:
            ValueError: A field is missing or not allowed.
        """
        return catalogue.metric(name, **self.given())

    def given(self) -> dict[str, Any]:
        """The fields that are set."""
        return self.model_dump(exclude_none=True)


def _without_labels() -> dict[str, MetricSettings]:
    """What every endpoint has, whether or not labels come."""
    return {
        "errors": MetricSettings(margin=0.02),
        "latency_p99": MetricSettings(margin=0.5, prove=False),
        "invalid_answers": MetricSettings(margin=0.02, prove=False),
    }


class JudgeSettings(Section):
    """What a challenger must show."""

    alpha: float = Field(
        default=0.05,
        ge=1e-9,
        le=0.5,
        description="Probability of rolling back a challenger that is not worse, over the whole trial and all metrics.",
    )
    min_requests: int = Field(
        default=50, ge=1, le=1_000_000_000, description="How many requests the challenger must answer in each step."
    )
    promote_when: PromoteWhen = Field(
        default="not_worse", description="What the metrics with prove: true must show before a promotion."
    )
    metrics: dict[str, MetricSettings] = Field(
        default_factory=_without_labels,
        description="Metric name -> what is tolerated. These metrics are compared, and no others.",
    )

    @field_validator("metrics")
    @classmethod
    def _judgeable(cls, metrics: dict[str, MetricSettings]) -> dict[str, MetricSettings]:
        wrong: list[Problem] = []
        made: list[Metric] = []
        for name, settings in metrics.items():
            try:
                made.append(settings.of(name))
            except (MetricError, catalogue.UnknownMetric) as error:
                wrong.append(_of_metric(name, settings.given(), error))
        if not wrong:
            try:
                Plan((Step(1, 0),), metrics=tuple(made))
            except PlanError as error:
                raise ValueError(error.rule) from None
        if wrong:
            raise Wrong(wrong)
        return metrics

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        problem = provable.not_better(item.of(name) for name, item in self.metrics.items())
        if self.promote_when == "better" and problem:
            raise Wrong([problem])
        return self


def _of_metric(name: str, given: Mapping[str, Any], error: MetricError | catalogue.UnknownMetric) -> Problem:
    """What is wrong with a metric, below the metrics."""
    if isinstance(error, catalogue.UnknownMetric):
        return Problem(f".{name}", f"{error}{meant(name, catalogue.KNOWN)}")
    if error.missing:
        return Problem(f".{name}.{error.field}", error.expected)
    if error.field in given:
        return Problem(f".{name}.{error.field}", error.expected, whole(given[error.field]))
    return Problem(f".{name}", error.told, whole(given))


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
        """The gate of the plan."""
        return ReplayGate(**self.model_dump())


class InfrastructureSettings(Section):
    """How SageMaker moves the traffic when only the instances change; the champion's alarms make it go back."""

    kind: GuardKind = Field(default="canary", description="How the capacity moves.")
    percent: Percent = Field(
        default=50, description="The share of the canary, of each step or of each batch, in percent."
    )
    bake_seconds: int = Field(default=60, ge=0, le=3600, description="How long to wait after each step.")

    @model_validator(mode="after")
    def _taken(self) -> Self:
        wrong = self.refused(FEWEST_TO_ROLL)  # of more instances it may be refused yet: see Settings
        if wrong is not None:
            raise Wrong([wrong])
        return self

    def guard(self, alarms: Sequence[str], instances: int) -> Guard:
        """The guard of the plan, of so many instances.

        Raises:
            PlanError: SageMaker would refuse it; the message holds the arithmetic.
        """
        return guardrail(self.kind, self.percent, self.bake_seconds, alarms, instances)

    def refused(self, instances: int) -> Problem | None:
        """What SageMaker would refuse of it; None when it would not."""
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
        description="How the traffic moves when only the instances change. Null: as SageMaker does by default.",
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

    @field_validator("replay")
    @classmethod
    def _asked_by_name(cls, replay: ReplaySettings | None, info: ValidationInfo) -> ReplaySettings | None:
        if replay is not None and _only_copies(info.data.get("strategy")):
            raise ValueError(
                "SageMaker lets nobody ask a shadow variant by name, and this strategy has no live step before the "
                "promotion; allowed is null, or a `then` in the strategy"
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
        wrong = provable.in_shadow(self.judge.metrics) if self.copied is not None else []
        if wrong:
            raise Wrong([problem.under(".judge.metrics") for problem in wrong])
        return self

    @property
    def copied(self) -> int | None:
        """How many percent of the requests are copied to a challenger first; None when the strategy has no shadow."""
        return self.strategy.percent if isinstance(self.strategy, Shadow) else None

    @property
    def asks(self) -> bool:
        """Whether a trial waits for a person's approval, which may outlast the update."""
        return any(step.approve for step in self.strategy.shares())

    def plan(self, window_seconds: int, guard: Guard | None = None, *, max_failed: float = 1.0) -> Plan:
        """The controller's plan.

        Args:
            window_seconds: The width of a window of observations.
            guard: How SageMaker moves the traffic, when only the champion's instances change.
            max_failed: The share of requests that may fail, of both versions, while a challenger moves on.
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
            replay=self.replay.gate() if self.replay and replayed else None,
            guard=guard,
            max_failed=max_failed,
        )

    def too_short(self, window_seconds: int) -> Problem | None:
        """Why the trial can never end in time; None when it can.

        A step is left on requests of a window that began in it and has settled, so it takes a window and its settling
        at least, however short its bake is.
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
