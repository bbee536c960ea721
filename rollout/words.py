"""The sentences of a rollout: each is made here, from fields, and read by people alone.

    words.reason(reason)      # "errors worse by more than 2.00%: 52.00% of 40 requests failed, ..."
    words.what(event)         # "b rolled back"

No program takes such a sentence apart; what it needs of it is a field of the reason or the event.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from rollout.kinds import Kind

_MOST = 1e6  # more observations lacking than this are a guess without worth


class Grounds(Protocol):
    """What a sentence is made from; see `rollout.reason.Reason`."""

    @property
    def name(self) -> str:
        """Who or what decided."""
        ...

    @property
    def said(self) -> str:
        """Words from outside, quoted."""
        ...

    @property
    def numbers(self) -> Mapping[str, float]:
        """Its numbers."""
        ...

    @property
    def kind(self) -> Kind:
        """What it says."""
        ...

    @property
    def facts(self) -> Mapping[str, Any]:
        """Its further fields."""
        ...

    @property
    def beside(self) -> Grounds | None:
        """Another reason that is told with it."""
        ...


class Happened(Protocol):
    """What an event's sentence is made from; see `rollout.core.state.Event`."""

    @property
    def kind(self) -> str:
        """What it says."""
        ...

    @property
    def release(self) -> str:
        """The release that it is about."""
        ...

    @property
    def champion(self) -> str:
        """The release that serves, or will."""
        ...

    @property
    def numbers(self) -> Mapping[str, float]:
        """Its numbers."""
        ...

    @property
    def reason(self) -> Grounds | None:
        """Why."""
        ...


def reason(given: Grounds) -> str:
    """Why something was decided, in one sentence."""
    return "; ".join(clauses(given))


def brief(given: Grounds, width: int) -> str:
    """As much of a reason as a line holds, and always its last clause, which has the evidence."""
    parts = clauses(given)
    whole, last = "; ".join(parts), parts[-1]
    if len(whole) <= width or len(parts) == 1 or len(last) > width * 2 // 3:
        return textwrap.shorten(whole, width, placeholder=" ...")
    head = textwrap.shorten("; ".join(parts[:-1]), width - len(last) - 1, placeholder=" ...")
    return f"{head} {last}"


def clauses(given: Grounds) -> list[str]:
    """The sentence of a reason in its parts, the evidence last."""
    first, *rest = _CLAUSES[given.kind](given)
    parts = [f"{_before(given)}{first}", *rest]
    if "outage_windows" in given.numbers and given.kind is not Kind.BOTH_FAIL:
        parts[-1] += f". Not counted is an outage: {_outage(given.numbers)}"
    told_with = given.beside if given.kind not in _RESTS_ON else None
    return [*parts, *clauses(told_with)] if told_with is not None else parts


def what(event: Happened) -> str:
    """What happened, in a line without the reason."""
    return _WHAT[event.kind](event)


def happened(event: Happened) -> str:
    """What happened, and why, in one sentence."""
    return f"{what(event)}: {reason(event.reason)}" if event.reason is not None else what(event)


def latency(microseconds: float) -> str:
    """A latency as a person says it: the unit is the microsecond."""
    return f"{microseconds / 1e6:.3g} s" if microseconds >= 1e6 else f"{microseconds / 1e3:.3g} ms"


def counted(bad: float, requests: float) -> str:
    """How many of a version's requests were bad."""
    return f"{bad:.0f} of {requests:.0f} ({bad / requests if requests else 0:.1%})"


def plain(name: str) -> str:
    """An outcome, a phase or a kind as a person says it."""
    return name.replace("_", " ")


def _before(given: Grounds) -> str:
    """What the whole trial's answer adds to that of the metric which decides it."""
    metrics, better = given.numbers.get("metrics"), given.facts.get("better")
    if better is not None:
        evidence = f"evidence for better {_of(given.numbers, 'better')}"
        if not better:
            return f"not yet known: {given.name} better, {evidence}; "
        others = ", nothing worse by more than its margin" if metrics is not None and metrics > 1 else ""
        return f"{given.name} better{others}: {evidence}; "
    return f"none of {metrics:.0f} metrics worse; the least certain: " if metrics is not None and metrics > 1 else ""


def _on_metric(given: Grounds) -> list[str]:
    numbers, name = given.numbers, given.name
    by, seen = _seen(given)
    alone = " in this step alone" if given.facts.get("this_step") else ""
    if given.kind is Kind.NOT_YET_KNOWN:
        evidence = f"evidence for worse {_of(numbers, 'worse')}, for not worse {_of(numbers, 'not_worse')}{alone}"
        return [f"not yet known: {name}: {seen}", *_lacking(given), evidence]
    answer = "worse" if given.kind is Kind.WORSE else "not worse"
    evidence = _of(numbers, given.kind.value) + (alone if given.kind is Kind.NOT_WORSE else "")
    return [f"{name} {answer} by more than {by}: {seen}", f"evidence {evidence}"]


def _seen(given: Grounds) -> tuple[str, str]:
    """The margin, and what was seen of both versions."""
    numbers, name = given.numbers, given.name
    margin, n0, n1 = numbers["margin"], numbers["champion_count"], numbers["challenger_count"]
    match given.facts["metric_kind"]:
        case "quantile":
            by, one, other = f"{margin:.0%}", numbers["challenger_slower"], numbers["champion_slower"]
            longer = f"{1 + margin:g} times " if margin else ""
            seen = f"{one:.2%} of {n1:.0f} took over {longer}the pivot, of the champion's {n0:.0f} {other:.2%} over it"
        case "mean":
            by, one, other = f"{margin:.4g}", numbers["challenger_mean"], numbers["champion_mean"]
            seen = f"mean {one:.4g} of {n1:.0f}, of the champion's {n0:.0f} {other:.4g}"
        case _:
            by, one, other = f"{margin:.2%}", numbers["challenger_rate"], numbers["champion_rate"]
            failed = f"of {n1:.0f} requests failed" if name == "errors" else f"of {n1:.0f}"
            seen = f"{one:.2%} {failed}, of the champion's {n0:.0f} {other:.2%}"
    return by, seen + (" (in the whole trial)" if given.facts.get("this_step") else "")


def _of(numbers: Mapping[str, float], answer: str) -> str:
    return f"{numbers[f'evidence_{answer}']:.3g} of {numbers[f'evidence_needed_{answer}']:.3g}"


def _lacking(given: Grounds) -> list[str]:
    more = given.numbers.get("lacking", 0.0)
    if not 0 < more < _MOST:
        return []
    things = "requests" if given.name == "errors" or given.facts["metric_kind"] == "quantile" else "observations"
    return [f"about {float(f'{more:.1g}'):.0f} more {things} are needed"]


def _no_data(given: Grounds) -> list[str]:
    missing = [who for who in ("champion", "challenger") if not given.numbers[f"{who}_count"]]
    name = f"not yet known: {given.name}"
    if len(missing) == 2 and given.facts["metric_kind"] == "quantile":
        known = f"known after {given.numbers['requests_to_cut']:.0f} of its requests within an hour"
        return [f"{name}: waits for the champion's quantile to compare with, {known}"]
    of = "either version" if len(missing) == 2 else f"the {missing[0]}"
    return [f"{name}: no data of {of} (looked for in {_place(given.facts)})"]


def _out_of_range(given: Grounds) -> list[str]:
    numbers, facts = given.numbers, given.facts
    first: Mapping[str, Any] = facts["first"]
    which = "sum" if "sum" in first else "mean"
    values = f"the {first['version']}'s {which} of {first['count']} values is {first[which]}"
    if "squares" in first:
        where = f" (metric {facts['stored_as']}Squared)" if which == "mean" and facts["stored_as"] else ""
        values += f", of their squares{where} {first['squares']}"
    allowed = f"its values are to lie within {numbers['low']:g} to {numbers['high']:g}"
    many = f"windows like this: {numbers['windows_out_of_range']:.0f}"
    return [f"not known: {given.name}: {values}, but {allowed} ({many}; looked for in {_place(facts)})"]


def _place(facts: Mapping[str, Any]) -> str:
    return (
        f"metric {facts['stored_as']} in {facts['namespace']}" if facts["stored_as"] else "the platform's own metrics"
    )


def _outage(numbers: Mapping[str, float]) -> str:
    challenger = counted(numbers["outage_challenger_failed"], numbers["outage_challenger_requests"])
    champion = counted(numbers["outage_champion_failed"], numbers["outage_champion_requests"])
    return (
        f"in {numbers['outage_windows']:.0f} of {numbers['windows']:.0f} windows both versions failed (5XX) more than "
        f"the tolerated {numbers['tolerated']:.1%}: {challenger} requests of the challenger, {champion} of the champion"
    )


def _both_fail(given: Grounds) -> list[str]:
    outage = _outage(given.numbers)
    return [f"not yet known, as both versions fail: {outage}. The challenger is not moved on while that lasts"]


def _few_requests(given: Grounds) -> list[str]:
    answered, least = given.numbers["requests"], given.numbers["min_requests"]
    text = f"the challenger answered {answered:.0f} of at least {least:.0f} requests in this step"
    return [f"too little traffic: {text}"]


def _starting(given: Grounds) -> list[str]:
    then = f", and for {_REPLAY_FIRST}" if given.facts.get("replay_ahead") else ""
    return [f"waiting for the challenger's instances to start{then}"]


def _replayed(given: Grounds) -> list[str]:
    numbers = given.numbers
    whys: Mapping[str, int] = given.facts.get("unreadable", {})
    why = ", ".join(f"{count} times {why}" for why, count in whys.items())
    passed_over = f" ({sum(whys.values())} captured records cannot be read: {why})" if whys else ""
    if not numbers["requests"]:
        return [f"no captured requests to replay{passed_over}"]
    ratio = f", median latency {numbers['latency_ratio']:.2f} times" if "latency_ratio" in numbers else ""
    found = f"{numbers['errors']:.0f} errors, {numbers['changed']:.0f} other decisions"
    return [f"{numbers['requests']:.0f} captured requests replayed: {found}{ratio}{passed_over}"]


def _replay_unchecked(given: Grounds) -> list[str]:
    requests, least = given.numbers["requests"], given.numbers["min_requests"]
    needed = f"only {requests:.0f} captured requests were there to replay, at least {least:.0f} are needed"
    then = "on_too_few: pass lets it through" if given.facts["on_too_few"] == "pass" else "it waits for more"
    return [f"the replay gate could not be checked: {needed} (replay.min_requests)", then]


def _replay_share(got: str) -> Callable[[Grounds], list[str]]:
    def told(given: Grounds) -> list[str]:
        numbers, example = given.numbers, given.facts.get("example", "")
        of = f"of {numbers['requests']:.0f} replayed requests"
        shown = f": {example}" if example else ""
        return [f"{numbers['value']:.1%} {of} got {got}, allowed are {numbers['bound']:.1%}{shown}"]

    return told


def _replay_latency(given: Grounds) -> list[str]:
    numbers = given.numbers
    of = f"of {numbers['requests']:.0f} replayed requests"
    times = f"{numbers['value']:.2f} times the champion's, allowed is {numbers['bound']:g} times"
    return [f"the median latency {of} is {times}"]


def _not_tried(whose: str) -> Callable[[Grounds], list[str]]:
    def told(given: Grounds) -> list[str]:
        release = given.facts["release"]
        next_step = (
            f"Release {release} was not tried and is not rejected: put right what failed and release it again, or "
            f"let it take over without a trial (skip-trial {release})"
        )
        return [f"{whose.format(**given.facts)}: {given.said}. {next_step}"]

    return told


def _alarm(given: Grounds) -> list[str]:
    value, threshold = given.numbers.get("value"), given.numbers.get("threshold")
    known = [f"value {value:.4g}"] if value is not None else []
    known += [f"threshold {threshold:.4g}"] if threshold is not None else []
    return [f"alarm {given.name}: {', '.join(known) if value is not None else given.said or 'no reason given'}"]


def _shared_outage(given: Grounds) -> list[str]:
    numbers, facts = given.numbers, given.facts
    bad = {"errors": "failed (5XX)", "latency": "were slow"}.get(facts["measure"], "were bad")
    challenger = counted(numbers["challenger_bad"], numbers["challenger_requests"])
    champion = counted(numbers["champion_bad"], numbers["champion_requests"])
    return [
        f"alarm {given.name} rings, and the champion fails alike. In the same periods {bad}: {challenger} requests of "
        f"the challenger {facts['challenger']}, {champion} of the champion {facts['champion']}; tolerated are "
        f"{numbers['tolerated']:.1%}"
    ]


def _with_beside(template: str) -> Callable[[Grounds], list[str]]:
    """A sentence that ends with another: its last clause stays the last."""

    def told(given: Grounds) -> list[str]:
        first, *rest = clauses(given.beside) if given.beside is not None else ["nothing is known"]
        return [f"{_filled(template, given)}: {first}", *rest]

    return told


def _filled(template: str, given: Grounds) -> str:
    return template.format(name=given.name, said=given.said, **given.numbers, **given.facts)


def _as(template: str) -> Callable[[Grounds], list[str]]:
    return lambda given: [_filled(template, given)]


_REPLAY_FIRST = "captured requests to be replayed to the challenger, before it gets live traffic"
_RESTS_ON = frozenset({Kind.NO_VERDICT, Kind.NO_LIVE_TRAFFIC})  # their sentence has that of `beside` in it
_CLAUSES: Mapping[Kind, Callable[[Grounds], list[str]]] = {
    Kind.SAID: lambda given: [given.said],
    Kind.WORSE: _on_metric,
    Kind.NOT_WORSE: _on_metric,
    Kind.NOT_YET_KNOWN: _on_metric,
    Kind.NO_DATA: _no_data,
    Kind.OUT_OF_RANGE: _out_of_range,
    Kind.BOTH_FAIL: _both_fail,
    Kind.NONE_PROVES: _as("no metric is to be proven, so none can promote"),
    Kind.NONE_CAN_BE_BETTER: _as(
        "no metric can be shown better: of a quantile with a margin only `not worse` can be shown"
    ),
    Kind.METRICS_UNREACHABLE: lambda given: [f"the metrics are unreachable: {given.said or 'no answer'}"],
    Kind.NOT_ON_TRIAL: _as("nothing is on trial ({phase})"),
    Kind.STARTING: _starting,
    Kind.AWAITS_REPLAY: _as(f"waiting for {_REPLAY_FIRST}"),
    Kind.UNCONFIRMED: _as("waiting for the endpoint to confirm the weights"),
    Kind.BAKING: _as("baked {baked_seconds:.0f} s of {bake_seconds:.0f} s"),
    Kind.FEW_REQUESTS: _few_requests,
    Kind.AWAITS_APPROVAL: _as("step {step:.0f} is passed and waits for an approval"),
    Kind.AWAITS_PERSON: _as("held until a person decides"),
    Kind.READY: _as("the endpoint is ready"),
    Kind.BAKED: _as("no alarm in {bake_seconds:.0f} s at 100%"),
    Kind.STEP_APPROVED: _as("step {step:.0f} was approved"),
    Kind.NO_VERDICT: _with_beside("no verdict within {max_seconds:.0f} s"),
    Kind.NO_LIVE_TRAFFIC: _with_beside("the challenger never got live traffic"),
    Kind.NEVER_REPLAYED: _as("the challenger never got traffic: captured requests could not be replayed to it"),
    Kind.NEVER_READY: _as("the challenger never got traffic: the endpoint was not ready for it"),
    Kind.NEVER_CONFIRMED: _as("the endpoint did not confirm that the challenger serves everything"),
    Kind.REPLAYED: _replayed,
    Kind.REPLAY_UNCHECKED: _replay_unchecked,
    Kind.REPLAY_ERRORS: _replay_share("an error or another schema"),
    Kind.REPLAY_CHANGED: _replay_share("another decision"),
    Kind.REPLAY_LATENCY: _replay_latency,
    Kind.RELEASE_DOWN: _as("release {release} does not come up: {said}"),
    Kind.CHAMPION_DOWN: _not_tried(
        "a new instance of the champion, {champion}, does not come up, so nothing can be tried beside it"
    ),
    Kind.ENDPOINT_DOWN: _not_tried("the endpoint does not come up, and its reason does not tell whose instance failed"),
    Kind.MOVE_DOWN: _as("the champion, {champion}, does not come up on its other instances: {said}"),
    Kind.PREVIOUS_DOWN: _as("the previous champion, {previous}, does not come up: {said}"),
    Kind.FIRST: _as("the first release serves at once"),
    Kind.MOVED: _as("the champion serves from another endpoint config"),
    Kind.WANTED_AGAIN: _as("release {champion}, the champion, is wanted again"),
    Kind.REPLACED: _as("release {release} is wanted instead"),
    Kind.MOVES_ALONE: _as("the champion, {champion}, is wanted alone, on other instances"),
    Kind.OTHER_INSTANCES: _as("it is tried again on other instances"),
    Kind.OTHER_SETTINGS: _as("it is tried again with other settings"),
    Kind.ALARM: _alarm,
    Kind.SHARED_OUTAGE: _shared_outage,
    Kind.TAKEN_BACK: _as("asked for by {name}: {said}"),
    Kind.APPROVED: lambda given: [f"{given.name}: {given.said}" if given.said else f"by {given.name}"],
    Kind.TRIAL_SKIPPED: _as("{name} skipped the trial: {said}"),
}


def _begins(event: Happened) -> str:
    if event.champion == event.release:
        return f"the champion, {event.champion}, moves to other instances, without a trial"
    same = ", the champion's model in another image," if event.numbers.get("same_model") else ""
    beside = f" beside champion {event.champion}" if event.champion else ""
    return f"release {event.release}{same} begins{beside}"


def _share(event: Happened) -> str:
    if "copies" in event.numbers:
        return f"{event.release} gets copies of {event.numbers['copies']:.0f}% of the requests"
    return f"{event.release} gets {event.numbers['percent']:.0f}%"


def _pivots(event: Happened) -> str:
    each = ", ".join(f"of {name} {latency(value)}" for name, value in event.numbers.items())
    return f"latencies are compared from now on; the pivot, which is the champion's by now, is {each}"


def _approved(event: Happened) -> str:
    if "seconds" in event.numbers:
        return f"the trial of {event.release} goes on for another {event.numbers['seconds']:.0f} s"
    return f"step {event.numbers['step']:.0f} of {event.release} is approved"


def _ended(event: Happened) -> str:
    """A trial that ended, or a champion that was taken back for the one before it."""
    return f"{event.champion} is champion again" if event.champion else f"{event.release} {plain(event.kind)}"


_WHAT: Mapping[str, Callable[[Happened], str]] = {
    "preparing": _begins,
    "moving": _begins,
    "replayed": lambda event: f"{event.release} was sent captured requests",
    "weights": _share,
    "pivots": _pivots,
    "paused": lambda event: f"step {event.numbers['step']:.0f} of {event.release} waits for an approval",
    "held": lambda event: f"{event.release} is held",
    "approved": _approved,
    "promoting": lambda event: f"{event.release} goes to 100%",
    "rolling_back": lambda event: f"{event.champion} gets 100% back",
    "restoring": lambda event: f"{event.champion} comes back",
    "promoted": lambda event: f"{event.release} is champion",
    "rolled_back": _ended,
    "withdrawn": _ended,
    "failed": _ended,
    "superseded": _ended,
    "cleared": lambda event: f"{event.release} may be tried again",
    "skip_trial": lambda event: f"{event.release} may take over without a trial",
    "left_to_judge": lambda event: f"{event.release} is left to the judge, as both versions fail",
}
