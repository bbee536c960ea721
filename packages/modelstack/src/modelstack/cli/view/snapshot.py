"""The live state of an endpoint, read from where it runs and never from a plan."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from modelstack.cli.errors import OperatorError
from modelstack.cli.platform.choose import platform_of
from modelstack.cli.platform.facts import AlarmView, EndpointState, PackageView, QualityView, ServedView
from modelstack.cli.platform.package_store import newest
from modelstack.cli.target import Target, commands_of
from modelstack.cli.view.budget import BudgetView
from modelstack.cli.view.releases import journal_state
from modelstack.cli.view.trial import TrialView, trial
from modelstack.rollout.controller.commands import Commands
from modelstack.rollout.core.event import Event
from modelstack.rollout.core.live import Variant
from modelstack.rollout.core.restored import Restored
from modelstack.rollout.core.state import RolloutState
from modelstack.rollout.core.verdict import Verdict
from modelstack.services.declaration.alarm_names import answer_alarms, measure_of

if TYPE_CHECKING:  # it loads the judge
    from modelstack.rollout.core.decision import Decision

_PACKAGES = 5  # that are shown, the newest
SERVES = ("InService", "Updating")
"""The status of an endpoint that answers."""


@dataclass(frozen=True)
class VariantView:
    """One variant as the endpoint reports it; `weight` (now) and `desired` are shares of 100.

    `asked` is the rollout's target, which the endpoint may not have accepted yet; None without one. `copies` is a
    shadow variant's percent of requests; its answers are never returned.
    """

    name: str
    role: str
    weight: float
    desired: float
    instances: int
    image: str
    copies: float = 0.0
    asked: float | None = None


@dataclass(frozen=True)
class Happened:
    """One event of the rollout's history; `at` is UTC, ISO 8601."""

    at: str
    kind: str
    text: str
    release: str = ""
    champion: str = ""
    reason: dict[str, Any] | None = None
    numbers: Mapping[str, float] = field(default_factory=dict[str, float])

    @classmethod
    def of(cls, event: Event, **more: Any) -> Self:
        """From the journal's event, and the fields of a subclass."""
        return cls(
            at=moment(event.at),
            kind=event.kind,
            text=event.text,
            release=event.release,
            champion=event.champion,
            reason=event.reason.as_dict() if event.reason else None,
            numbers=dict(event.numbers),
            **more,
        )


@dataclass(frozen=True)
class Snapshot:
    """An endpoint, its variants, rollout, alarms and packages at `at` (UTC, ISO 8601).

    Only `modelstack status` fills in served (the last hour), budgets, quality, retraining, agreement and aside.

    Attributes:
        champion: Release id, as are `challenger` and `previous`, the champion before this one, which can be restored.
        champion_since: When it became champion (UTC, ISO 8601); empty when no longer known.
        alarms: Those of versions that neither serve nor are on trial are left out.
        verdict: The last one on a release.
        moved: How moving the champion to other instances ended; None once a release came after it.
        restored: The restored release that replaces the config's, in a sentence; empty without one.
        trial: None without one; its evidence is empty unless the metrics were read.
        detail: What the platform says of the endpoint's instances.
        delay_s: Seconds until captures and labels are processed.
        aside: Metric -> rejected inputs of the last day.
        deleted: Names of alarms on failures and latency of versions with traffic that do not exist.
        stopped: Functions, and what runs them, that were deleted or disabled, in a few words each.
        unread: Field -> why it could not be read.
    """

    at: str
    stack: str
    endpoint: str
    status: str
    config: str
    phase: str
    champion: str | None
    challenger: str | None
    champion_package: str | None
    challenger_package: str | None
    verdict: dict[str, Any] | None
    variants: tuple[VariantView, ...]
    alarms: tuple[AlarmView, ...]
    packages: tuple[PackageView, ...]
    trial: TrialView | None = None
    events: tuple[Happened, ...] = ()
    region: str = ""
    previous: str | None = None
    champion_since: str = ""
    served: tuple[ServedView, ...] = ()
    budgets: tuple[BudgetView, ...] = ()
    moved: dict[str, Any] | None = None
    quality: tuple[QualityView, ...] = ()
    retraining: str = ""
    agreement: str = ""
    restored: str = ""
    detail: str = ""
    delay_s: float = 0.0
    namespace: str = ""
    context: str = ""
    aside: dict[str, int] = field(default_factory=dict[str, int])
    deleted: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()
    unread: dict[str, str] = field(default_factory=dict[str, str])

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    @property
    def commands(self) -> Commands:
        """How the commands of this endpoint are written."""
        return commands_of(self.stack, self.endpoint, self.region, self.namespace, self.context)

    def has(self, alarm: AlarmView) -> bool:
        """Whether an alarm is not of a version that neither serves nor is on trial."""
        about = subject(alarm, self.endpoint)
        present = {row.name for row in self.variants} | {f"v-{id_}" for id_ in (self.champion, self.challenger)}
        return about in present or not about.startswith("v-")

    @property
    def firing(self) -> tuple[AlarmView, ...]:
        """The alarms that are in ALARM."""
        return tuple(alarm for alarm in self.alarms if alarm.state == "ALARM")


def take(
    target: Target,
    *,
    state: RolloutState | None = None,
    decision: Decision | None = None,
    packages: tuple[PackageView, ...] | None = None,
    alarms: tuple[AlarmView, ...] | None = None,
) -> Snapshot:
    """Read everything that `modelstack status` shows; what is given was read before, or is not shown."""
    platform = platform_of(target)
    state = journal_state(target) if state is None else state
    serves = platform.endpoint()
    found = tuple(item.view for item in newest(platform.versions(), _PACKAGES)) if packages is None else packages
    shown = platform.alarms() if alarms is None else alarms
    seen = seen_at(time.time(), target, serves, state, decision, alarms=shown, packages=found)
    return replace(seen, deleted=deleted_alarms(seen)) if alarms is None else seen


def with_parts(seen: Snapshot, parts: Mapping[str, Callable[[], Any]]) -> Snapshot:
    """Fill in fields by name; what serves and the alarms are shown although one of them cannot be read."""
    for name, read in parts.items():
        try:
            seen = replace(seen, **{name: read()})
        except OperatorError as error:
            seen = replace(seen, unread={**seen.unread, name: str(error)})
    return seen


def deleted_alarms(seen: Snapshot) -> tuple[str, ...]:
    """The alarms that can roll back a version with traffic, and that do not exist though others do."""
    exist = {alarm.name for alarm in seen.alarms}
    if len(exist) < 2:  # none, or the one that says that Prometheus does not answer
        return ()
    known = (row.name for row in seen.variants if row.weight and row.role in {"champion", "challenger"})
    return tuple(name for row in known for name in answer_alarms(seen.endpoint, row) if name not in exist)


def seen_at(
    now: float,
    target: Target,
    serves: EndpointState,
    state: RolloutState,
    decision: Decision | None,
    *,
    alarms: tuple[AlarmView, ...],
    packages: tuple[PackageView, ...] = (),
) -> Snapshot:
    """The snapshot at `now`, epoch seconds. Pure."""
    seen = Snapshot(
        at=moment(now),
        stack=target.stack,
        endpoint=target.endpoint,
        status=serves.status,
        config=serves.live.config,
        detail=serves.live.detail,
        phase=str(state.phase),
        champion=state.champion.id if state.champion else None,
        challenger=state.challenger.id if state.challenger else None,
        champion_package=state.champion.package_digest if state.champion else None,
        challenger_package=state.challenger.package_digest if state.challenger else None,
        verdict=verdict_view(state.verdict),
        variants=_variants(serves, state),
        alarms=alarms,
        packages=packages,
        trial=trial(state, decision, now),
        events=tuple(map(Happened.of, state.history)),
        region=target.region,
        namespace=target.namespace,
        context=target.context,
        previous=state.previous.id if state.previous else None,
        champion_since=_champion_since(state),
        moved=verdict_view(state.moved) if state.last is state.moved else None,
        restored=_restored(state, target.commands),
    )
    return replace(seen, alarms=tuple(filter(seen.has, alarms)))


def subject(alarm: AlarmView, endpoint: str) -> str:
    """What an alarm watches: a variant, or another part of the endpoint."""
    return alarm.name.removeprefix(f"{endpoint}-").removesuffix(measure_of(alarm.name)).removesuffix("-")


def _champion_since(state: RolloutState) -> str:
    serving, since = "", state.promoted_at
    for event in state.history:
        of_champion = event.champion if event.kind == "rolled_back" else event.release
        if event.kind in {"promoted", "rolled_back"} and of_champion not in {"", serving}:
            serving, since = of_champion, event.at
    known = state.champion is not None and serving in {"", state.champion.id}
    return moment(since) if known and since else ""


def _restored(state: RolloutState, commands: Commands) -> str:
    wanted = state.restored
    if wanted is None:
        return ""
    return (
        f"release {wanted.release}, in place of what checkout and config ask for: {wanted.reason.text}; "
        f"{_standing(wanted, state, commands)}; to lift that: {commands.lift}"
    )


def _standing(wanted: Restored, state: RolloutState, commands: Commands) -> str:
    """The progress of a restored release."""
    if state.challenger is not None and state.challenger.id == wanted.release:
        return "it is on trial"
    if wanted.release in state.rejected:
        return "it was rolled back, so the champion stays, and nothing else is released"
    serves = state.champion
    if serves is not None and serves.id == wanted.release and wanted.serving in ({}, serves.serving):
        return "it serves"
    return f"it is not on trial yet, type: {commands.pulumi_up}"


def moment(at: float) -> str:
    """Epoch seconds as UTC, ISO 8601."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def role(variant: str, state: RolloutState) -> str:
    """`champion`, `challenger` or `previous`; `-` for a variant that the journal does not know."""
    for name in ("champion", "challenger", "previous"):
        release = getattr(state, name)
        if release is not None and release.variant == variant:
            return name
    return "-"


def _variants(serves: EndpointState, state: RolloutState) -> tuple[VariantView, ...]:
    """Serving variants first, then shadow variants, each by its share of the total weight."""
    live = serves.live
    now, later = live.shares(), live.shares(desired=True)
    whole = sum(item.weight for item in live.variants.values())

    def view(name: str, item: Variant, **more: Any) -> VariantView:
        image = serves.images.get(name, "")
        return VariantView(name, role(name, state), instances=item.instances, image=image, **more)

    return (
        *(
            view(name, item, weight=now[name], desired=later[name], asked=state.weights.get(name))
            for name, item in live.variants.items()
        ),
        *(
            view(name, item, weight=0.0, desired=0.0, copies=min(100 * item.weight / whole, 100.0) if whole else 0.0)
            for name, item in live.shadows.items()
        ),
    )


def verdict_view(verdict: Verdict | None) -> dict[str, Any] | None:
    """A verdict as JSON values."""
    if verdict is None:
        return None
    return {
        "outcome": verdict.outcome,
        "release": verdict.release,
        "package_digest": verdict.package_digest,
        "source": verdict.reason.source,
        "name": verdict.reason.name,
        "text": verdict.reason.text,
        "reason": asdict(verdict.reason),
        "rollout_id": verdict.rollout_id,
        "at": moment(verdict.at),
    }
