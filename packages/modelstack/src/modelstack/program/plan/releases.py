"""Serving resources to declare, from the live state in the journal and the config's desired release.

    plan = plan_serving(state, wanted, names.pair_of, resized=resized, waits=True)
    plan.releases, plan.pairs      # models, endpoint configs and alarms to declare

No update deletes what a live endpoint uses or a rollback needs: everything in the journal stays declared. The only
exception is what the update replaces and has waited for: the previous champion when there is a new one, and the
champion's config when only its instances change. Pulumi deletes only after the program has succeeded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from modelstack.rollout.core.release import Release, release_id, variant
from modelstack.rollout.core.state import Phase, RolloutState
from modelstack.rollout.core.verdict import Verdict
from modelstack.services.release_names import ReleaseNames

PairName = Callable[[str, str, int | None], str]


@dataclass(frozen=True)
class DesiredRelease:
    """The release that the config requests. Its names are known before it is trained.

    Attributes:
        recipe: sha256, in hex, of what determines the model.
        variant: Its production variant.
        config_name: The endpoint config that serves it alone.
        instances: As in `Release`.
        serving: As in `Release`.
    """

    id: str
    recipe: str
    variant: str
    model_name: str
    config_name: str
    instances: str
    serving: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def names(self) -> dict[str, Any]:
        """The fields of a `Release` that are known before training, as JSON values."""
        return {
            "id": self.id,
            "recipe": self.recipe,
            "model_name": self.model_name,
            "variant": self.variant,
            "config_name": self.config_name,
            "instances": self.instances,
            "serving": dict(self.serving),
        }


def wanted_release(names: ReleaseNames, recipe: str, image: str, shape: tuple[str, dict[str, Any]]) -> DesiredRelease:
    """A release with all its names, without training. `shape` holds its instances as text, and its serving settings."""
    id_, model, (instances, serving) = release_id(recipe, image), names.model_of(recipe, image), shape
    config = names.config_of(model, variant(id_), serving)
    return DesiredRelease(id_, recipe, variant(id_), model, config, instances, serving)


@dataclass(frozen=True)
class Declared:
    """A release whose model, endpoint config and alarms are declared; `known` is None if it is not in the journal."""

    variant: str
    model_name: str
    config_name: str
    known: Release | None
    serving: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Pair:
    """An endpoint config of a champion and a challenger.

    `copied` is the percent of requests copied to a shadow challenger; None when both are production variants.
    """

    name: str
    champion_config: str
    challenger_config: str
    copied: int | None = None


@dataclass(frozen=True)
class ServingPlan:
    """What a program declares for serving.

    Attributes:
        serving: The config that a new endpoint starts with.
        target: The config of the release that should serve: the desired one, or `kept`.
        pair: The pair config of its trial; None when it takes over at once.
        shadow: The config that first copies requests to it; None when its trial starts with live traffic.
        starts: Whether this update starts or continues the target's rollout, or ends another's trial in its favour.
        moves: Whether it moves the champion to other instances, which is no trial.
        verdict: Why the desired release is not tried again; None when nothing rejected it.
        kept: The champion on the config's instances, the target while the desired release is rejected or not approved.
    """

    releases: tuple[Declared, ...]
    pairs: tuple[Pair, ...]
    serving: str
    target: str
    pair: str | None
    shadow: str | None
    starts: bool
    moves: bool
    verdict: Verdict | None
    kept: Release | None


def plan_serving(
    state: RolloutState,
    wanted: DesiredRelease,
    pair_of: PairName,
    *,
    resized: Release | None,
    waits: bool,
    asks: bool = False,
    copied: int | None = None,
    unapproved: bool = False,
) -> ServingPlan:
    """Plan what to declare. The same state and desired release give the same plan, so a second update changes nothing.

    Args:
        state: The journal at the program's start; empty before the first release.
        wanted: The desired release.
        pair_of: Names the pair config of a champion's and a challenger's config.
        resized: The champion on the config's instances; None before the first champion.
        waits: Whether the update waits for the verdict.
        asks: Whether the trial waits for a person, who may outlast the update; then it succeeds without a verdict.
        copied: Percent of requests that a trial first copies to the challenger; None for no shadow step.
        unapproved: Whether approvals are missing: the release is then treated as if it were rejected.
    """
    champion = state.champion
    asked = Declared(wanted.variant, wanted.model_name, wanted.config_name, None, wanted.serving)
    verdict = _rejection(state, wanted)
    withheld = verdict is not None or unapproved
    kept = _kept(state, resized) if withheld else None
    target = _known(kept) if kept is not None else asked
    serves = champion is not None and champion.config_name == target.config_name
    advances = not serves and (not withheld or kept is not None)
    withdraws = serves and state.challenger is not None  # the config went back to the champion in mid-trial
    trial = champion is not None and not serves and champion.variant != target.variant

    live = list(state.releases())
    previous = state.previous
    waits = waits and state.phase is not Phase.RESTORING  # until then it is open which of both will serve
    if trial and advances and waits and not asks:  # this update replaces it, or fails and deletes nothing
        live = [release for release in live if release != previous or release.config_name == target.config_name]
        previous = None
    moves = champion is not None and advances and not trial  # the same model on other instances
    if moves and waits and state.challenger is None and not state.retiring:
        live = [release for release in live if release != champion]

    pairs = list(_live_pairs(state))
    ways = (None,) if copied is None else (None, copied)
    if champion is not None and trial:
        pairs += [_pair(champion.config_name, target.config_name, pair_of, way) for way in ways]
    if kept is not None:  # of its past trial, or of one after a person clears the rejection
        pairs += [_pair(kept.config_name, asked.config_name, pair_of, way) for way in ways]
    if champion is not None and previous is not None and previous.variant != champion.variant:
        latest = target.config_name if moves else champion.config_name
        pairs += [_pair(previous.config_name, latest, pair_of, way) for way in ways]

    def beside(way: int | None) -> str | None:
        return pair_of(champion.config_name, target.config_name, way) if champion and trial else None

    declared = [*(_known(release) for release in live), target, asked]
    return ServingPlan(
        releases=tuple({item.config_name: item for item in reversed(declared)}.values())[::-1],
        pairs=tuple({pair.name: pair for pair in pairs}.values()),
        serving=champion.config_name if champion is not None and champion in live else target.config_name,
        target=target.config_name,
        pair=beside(None),
        shadow=beside(copied) if copied is not None else None,
        starts=advances or withdraws,
        moves=moves,
        verdict=verdict,
        kept=kept,
    )


def _rejection(state: RolloutState, wanted: DesiredRelease) -> Verdict | None:
    champion, challenger = state.champion, state.challenger
    serves = champion is not None and champion.config_name == wanted.config_name
    tried = challenger is not None and challenger.id == wanted.id
    return None if serves or tried else state.rejected.get(wanted.id)


def _kept(state: RolloutState, resized: Release | None) -> Release | None:
    if resized is None or resized.id in state.rejected:
        return None
    other = state.challenger is not None and state.challenger.id != resized.id
    return None if other else resized


def _live_pairs(state: RolloutState) -> Iterable[Pair]:
    tried = [(state.challenger, state), *((item.release, item) for item in state.retiring)]
    for challenger, item in tried:
        for name, copied in ((item.pair_config, None), (item.shadow_config, item.copied)):
            if name and challenger and state.champion:
                yield Pair(name, state.champion.config_name, challenger.config_name, copied)


def _pair(champion_config: str, challenger_config: str, pair_of: PairName, copied: int | None) -> Pair:
    return Pair(pair_of(champion_config, challenger_config, copied), champion_config, challenger_config, copied)


def _known(release: Release) -> Declared:
    return Declared(release.variant, release.model_name, release.config_name, release, release.serving)
