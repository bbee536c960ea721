"""Why a rollout goes forward or back, as data; the sentence is rendered from it, and no program parses it."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from modelstack.rollout.kinds import Kind
from modelstack.rollout.signs import clean
from modelstack.rollout.stored import read

Source = Literal["judge", "replay", "alarm", "person", "timeout", "endpoint", "release"]

LONGEST = 2000
_IN_SECONDS = 120.0  # from here on, times are in minutes
_KINDS = frozenset(Kind)
_MOST = 1e6  # an estimate of more missing observations is worthless


@dataclass(frozen=True)
class Reason:
    """Why something was decided.

    Attributes:
        name: The alarm, metric or person that it comes from.
        said: External words, quoted: cleaned of control characters, and cut to `LONGEST`, as a journal's item is
            limited.
        facts: Further fields, as JSON values.
        beside: Another reason that this one rests on, or is reported with.
    """

    source: Source
    name: str
    said: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict[str, float])
    kind: Kind = Kind.SAID
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    beside: Reason | None = None

    def __post_init__(self) -> None:
        said = clean(self.said)
        object.__setattr__(self, "said", f"{said[:LONGEST]}..." if len(said) > LONGEST else said)

    @property
    def text(self) -> str:
        """One sentence for a person."""
        return "; ".join(_clauses(self))

    def brief(self, width: int) -> str:
        """The sentence cut to one line, always with its last clause, which has the evidence."""
        parts = _clauses(self)
        whole, last = "; ".join(parts), parts[-1]
        if len(whole) <= width or len(parts) == 1 or len(last) > width * 2 // 3:
            return textwrap.shorten(whole, width, placeholder=" ...")
        head = textwrap.shorten("; ".join(parts[:-1]), width - len(last) - 1, placeholder=" ...")
        return f"{head} {last}"

    def as_dict(self) -> dict[str, Any]:
        """The fields and the sentence as plain JSON values."""
        return {**asdict(self), "text": self.text}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Reason:
        """Read back what `as_dict` or `dataclasses.asdict` wrote; a kind of a newer version is its words."""
        if value.get("kind", Kind.SAID) not in _KINDS:
            value = {**value, "kind": Kind.SAID, "said": value.get("said") or value["kind"]}
        return read(cls, value, newer=True)  # drops the sentence


def _clauses(given: Reason) -> list[str]:
    made = _SENTENCES[given.kind]
    first, *rest = [_filled(made, given)] if isinstance(made, str) else made(given)
    parts = [f"{_before(given)}{first}", *_absent(given), *rest]
    if "outage_windows" in given.numbers and given.kind is not Kind.BOTH_FAIL:
        parts[-1] += f". Not counted is an outage: {_outage(given.numbers)}"
    told_with = given.beside if given.kind not in _RESTS_ON else None
    return [*parts, *_clauses(told_with)] if told_with is not None else parts


def _filled(template: str, given: Reason) -> str:
    return template.format(name=given.name, said=given.said, **given.numbers, **given.facts)


def _before(given: Reason) -> str:
    """What the whole trial's answer adds to that of the metric that decides it."""
    metrics, better = given.numbers.get("metrics"), given.facts.get("better")
    if better is not None:
        evidence = f"evidence for better {_of(given.numbers, 'better')}"
        if not better:
            return f"not yet known: {given.name} better, {evidence}; "
        others = ", nothing worse by more than its margin" if metrics is not None and metrics > 1 else ""
        return f"{given.name} better{others}: {evidence}; "
    return f"none of {metrics:.0f} metrics worse; the least certain: " if metrics is not None and metrics > 1 else ""


def _absent(given: Reason) -> list[str]:
    names = given.facts.get("absent", ())
    return [f"not compared, as no values came: {', '.join(names)}"] if names else []


def _on_metric(given: Reason) -> list[str]:
    numbers, name = given.numbers, given.name
    by, seen = _seen(given)
    alone = " in this step alone" if given.facts.get("this_step") else ""
    if given.kind is Kind.NOT_YET_KNOWN:
        evidence = f"evidence for worse {_of(numbers, 'worse')}, for not worse {_of(numbers, 'not_worse')}{alone}"
        return [f"not yet known: {name}: {seen}", *_lacking(given), evidence]
    answer = "worse" if given.kind is Kind.WORSE else "not worse"
    have, need = (numbers[f"{word}_{given.kind.value}"] for word in ("evidence", "evidence_needed"))
    evidence = f"{have:.3g} ({need:.3g} needed)" + (alone if given.kind is Kind.NOT_WORSE else "")
    return [f"{name} {answer} by more than {by}: {seen}", f"evidence {evidence}"]


def _seen(given: Reason) -> tuple[str, str]:
    """The margin, and the counts of both versions."""
    numbers, name = given.numbers, given.name
    margin, n0, n1 = numbers["margin"], numbers["champion_count"], numbers["challenger_count"]
    match given.facts["metric_kind"]:
        case "quantile":
            by, one, other = f"{margin:.0%}", numbers["challenger_slower"], numbers["champion_slower"]
            longer = f"{1 + margin:g} times " if margin else ""
            seen = (
                f"{one:.2%} of {n1:.0f} took over {longer}the pivot, "
                f"{other:.2%} of the champion's {n0:.0f} took over the pivot"
            )
        case "mean":
            by, one, other = f"{margin:.4g}", numbers["challenger_mean"], numbers["champion_mean"]
            seen = f"mean {one:.4g} of {n1:.0f}, the champion's {other:.4g} of {n0:.0f}"
        case _:
            by, one, other = f"{margin:.2%}", numbers["challenger_rate"], numbers["champion_rate"]
            failed = f"of {n1:.0f} requests failed" if name == "errors" else f"of {n1:.0f}"
            seen = f"{one:.2%} {failed}, {other:.2%} of the champion's {n0:.0f}"
    return by, seen + (" (in the whole trial)" if given.facts.get("this_step") else "")


def _of(numbers: Mapping[str, float], answer: str) -> str:
    return f"{numbers[f'evidence_{answer}']:.3g} of {numbers[f'evidence_needed_{answer}']:.3g}"


def _lacking(given: Reason) -> list[str]:
    more = given.numbers.get("lacking", 0.0)
    if not 0 < more < _MOST:
        return []
    quantile = given.facts["metric_kind"] == "quantile"
    things = "requests" if given.name == "errors" or quantile else "observations"
    good = "stays as fast" if quantile else "is as good as the champion"
    return [f"about {_roughly(more):,.0f} more {things} are needed on average if it {good}"]


def _roughly(more: float) -> float:
    """The nearest of 10, 20, 50, 100, ...: by chance the estimate varies by half, so a closer one would flicker."""
    return min(
        (part * 10.0**power for power in range(1, 7) for part in (1, 2, 5)), key=lambda one: abs(math.log(more / one))
    )


def _no_data(given: Reason) -> list[str]:
    missing = [who for who in ("champion", "challenger") if not given.numbers[f"{who}_count"]]
    name = f"not yet known: {given.name}"
    if "pivot" not in given.numbers and len(missing) == 2 and given.facts["metric_kind"] == "quantile":
        known = f"known after {given.numbers['requests_to_cut']:.0f} of its requests within an hour"
        return [f"{name}: waits for the champion's quantile to compare with, {known}"]
    of = "either version" if len(missing) == 2 else f"the {missing[0]}"
    since = " since its pivot was fixed" if "pivot" in given.numbers else ""
    return [f"{name}: no data of {of}{since} (looked for in {_place(given.facts)})"]


def _out_of_range(given: Reason) -> list[str]:
    numbers, facts = given.numbers, given.facts
    first: Mapping[str, Any] = facts["first"]
    if first.get("sum") == "nan" and str(facts["stored_as"]).startswith(f"{given.name}_"):  # see `monitoring.custom`
        failed = f"its function failed for {first['count']} of the {first['version']}'s answers"
        many = f"windows like this: {numbers['windows_out_of_range']:.0f}"
        return [f"not known: {given.name}: {failed} in one window ({many}); `modelstack status --all` shows the error"]
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


def _counted(numbers: Mapping[str, float], bad: str, requests: str) -> str:
    of = numbers[requests]
    return f"{numbers[bad]:.0f} of {of:.0f} ({numbers[bad] / of if of else 0:.1%})"


def _outage(numbers: Mapping[str, float]) -> str:
    challenger = _counted(numbers, "outage_challenger_failed", "outage_challenger_requests")
    champion = _counted(numbers, "outage_champion_failed", "outage_champion_requests")
    return (
        f"in {numbers['outage_windows']:.0f} of {numbers['windows']:.0f} windows the champion failed (5XX) more than "
        f"the tolerated {numbers['tolerated']:.1%}: {challenger} requests of the challenger, {champion} of the champion"
    )


def _both_fail(given: Reason) -> list[str]:
    outage = _outage(given.numbers)
    return [f"not yet known, as the champion itself fails: {outage}. The challenger is not moved on while that lasts"]


def _shared_outage(given: Reason) -> list[str]:
    numbers, facts = given.numbers, given.facts
    bad = {"errors": "failed (5XX)", "latency": "were slow"}.get(facts["measure"], "were bad")
    challenger = _counted(numbers, "challenger_bad", "challenger_requests")
    champion = _counted(numbers, "champion_bad", "champion_requests")
    return [
        f"alarm {given.name} fires, and the champion fails alike. Then, or in as long a time within two hours before, "
        f"{bad}: {challenger} requests of the challenger {facts['challenger']}, {champion} of the champion "
        f"{facts['champion']}; tolerated are {numbers['tolerated']:.1%}"
    ]


def _starting(given: Reason) -> list[str]:
    then = f", and for {_REPLAY_FIRST}" if given.facts.get("replay_ahead") else ""
    return [f"waiting for the challenger's instances to start{then}"]


def _counted_late(given: Reason) -> list[str]:
    seconds, answers = given.numbers["seconds"], given.numbers["answers"]
    late = f"{seconds:.0f} s" if seconds < _IN_SECONDS else f"{seconds / 60:.0f} minutes"
    return [f"answers are counted {late} late, {answers:,.0f} of the challenger's are uncounted"]


def _reduced(given: Reason) -> list[str]:
    numbers = given.numbers
    share = f"counted requests were missing, so the challenger has its last proven share, {numbers['percent']:.0f}%"
    then = f"its step begins again once they come for {numbers['seconds']:.0f} s without a gap"
    if not given.facts["resumes"]:
        then = f"that was so {numbers['times']:.0f} times, so its step does not begin again"
    return [share, then]


def _unanswered(given: Reason) -> list[str]:
    happened = [f"its instances: {words}"] if (words := given.facts.get("instances")) else []
    if given.said:
        return [given.said, *happened]
    challenger, champion = (_counted(given.numbers, f"{who}unanswered", f"{who}requests") for who in ("", "champion_"))
    tolerated = f"tolerated are {given.numbers['tolerated']:.1%} more"
    return [
        f"the challenger's instances left requests of this step unanswered: {challenger}, {champion} of the "
        f"champion's; {tolerated}. These count for neither. Look why its pods or instances are missing or hang",
        *happened,
    ]


def _replayed(given: Reason) -> list[str]:
    numbers = given.numbers
    whys: Mapping[str, int] = given.facts.get("unreadable", {})
    why = ", ".join(f"{count} times {why}" for why, count in whys.items())
    passed_over = f" ({sum(whys.values())} captured records cannot be read: {why})" if whys else ""
    if not numbers["requests"]:
        return [f"no captured requests to replay{passed_over}"]
    ratio = f", median latency {numbers['latency_ratio']:.2f} times" if "latency_ratio" in numbers else ""
    found = f"{numbers['errors']:.0f} errors, {numbers['changed']:.0f} other decisions"
    return [f"{numbers['requests']:.0f} captured requests replayed: {found}{ratio}{passed_over}"]


def _replay_unchecked(given: Reason) -> list[str]:
    needed = "only {requests:.0f} captured requests were there to replay, at least {min_requests:.0f} are needed"
    then = "on_too_few: pass lets it through" if given.facts["on_too_few"] == "pass" else "it waits for more"
    return [_filled(f"the replay gate could not be checked: {needed} (replay.min_requests)", given), then]


def _replay_share(got: str) -> Callable[[Reason], list[str]]:
    def told(given: Reason) -> list[str]:
        shown = ": {example}" if given.facts.get("example") else ""
        template = "{value:.1%} of {requests:.0f} replayed requests got " + got + ", allowed are {bound:.1%}"
        return [_filled(template + shown, given)]

    return told


def _alarm(given: Reason) -> list[str]:
    value, threshold = given.numbers.get("value"), given.numbers.get("threshold")
    known = f"value {value:.4g}" if value is not None else given.said or "no reason given"
    more = f", threshold {threshold:.4g}" if value is not None and threshold is not None else ""
    return [f"alarm {given.name}: {known}{more}"]


def _resting(given: Reason) -> list[str]:
    """A sentence that ends with another reason's, whose last clause stays the last."""
    first, *rest = _clauses(given.beside) if given.beside is not None else ["nothing is known"]
    return [f"{_filled(_RESTS_ON[given.kind], given)}: {first}", *rest]


_REPLAY_FIRST = "captured requests to be replayed to the challenger, before it gets live traffic"
_NOT_TRIED = (
    ": {said}. Release {release} is not rejected: put right what failed and release it again, or let it take over "
    "without a trial (skip-trial {release})"
)
_RESTS_ON = {
    Kind.NO_VERDICT: "no verdict within {max_seconds:.0f} s",
    Kind.NO_LIVE_TRAFFIC: "the challenger never got live traffic",
}  # these include the sentence of `beside`
_SENTENCES: Mapping[Kind, str | Callable[[Reason], list[str]]] = {
    Kind.SAID: lambda given: [given.said],
    Kind.NOT_KEPT: "by {name}; it was long ago, and the numbers are no longer kept",
    Kind.WORSE: _on_metric,
    Kind.NOT_WORSE: _on_metric,
    Kind.NOT_YET_KNOWN: _on_metric,
    Kind.NO_DATA: _no_data,
    Kind.OUT_OF_RANGE: _out_of_range,
    Kind.BOTH_FAIL: _both_fail,
    Kind.NONE_PROVES: "no metric is to be proven, so none can promote",
    Kind.NONE_CAN_BE_BETTER: "no metric can be shown better: of a quantile with a margin only `not worse` can be shown",
    Kind.METRICS_UNREACHABLE: lambda given: [f"the metrics are unreachable: {given.said or 'no answer'}"],
    Kind.NOT_ON_TRIAL: "nothing is on trial ({phase})",
    Kind.STARTING: _starting,
    Kind.AWAITS_REPLAY: f"waiting for {_REPLAY_FIRST}",
    Kind.UNCONFIRMED: "waiting for the endpoint to confirm the weights",
    Kind.BAKING: "baked {baked_seconds:.0f} s of {bake_seconds:.0f} s",
    Kind.FEW_REQUESTS: (
        "too little traffic: the challenger answered {requests:.0f} of at least {min_requests:.0f} requests in this "
        "step"
    ),
    Kind.COUNTED_LATE: _counted_late,
    Kind.REDUCED: _reduced,
    Kind.UNANSWERED: _unanswered,
    Kind.AWAITS_APPROVAL: "step {step:.0f} is passed and waits for an approval",
    Kind.AWAITS_PERSON: "held until a person decides",
    Kind.READY: "the endpoint is ready",
    Kind.BAKED: "no alarm in {bake_seconds:.0f} s at 100%",
    Kind.STEP_APPROVED: "step {step:.0f} was approved",
    Kind.METRICS_BACK: "the step begins again, as requests were counted without a gap for {seconds:.0f} s",
    Kind.METRICS_LACKING: (
        "{lacking:.0f} of the trial's {windows:.0f} windows lack the counts of a version, which may have failed in "
        "them: at most {allowed:.0%} may"
    ),
    Kind.METRICS_MISSING: (
        "no counted requests of both versions for {seconds:.0f} s, and a share that is not proven is kept for at most "
        "{allowed:.0f} s without them (metrics_timeout_minutes)"
    ),
    **dict.fromkeys(_RESTS_ON, _resting),
    Kind.NEVER_REPLAYED: "the challenger never got traffic: captured requests could not be replayed to it",
    Kind.NEVER_READY: "the challenger never got traffic: the endpoint was not ready for it",
    Kind.NEVER_CONFIRMED: "the endpoint did not confirm that the challenger serves everything",
    Kind.REPLAYED: _replayed,
    Kind.REPLAY_UNCHECKED: _replay_unchecked,
    Kind.REPLAY_GOES_ON: (
        "the replay goes on: {requests:.0f} captured requests were replayed in {seconds:.0f} s, at least "
        "{min_requests:.0f} are needed (replay.min_requests)"
    ),
    Kind.REPLAY_ERRORS: _replay_share("an error or another schema"),
    Kind.REPLAY_CHANGED: _replay_share("another decision"),
    Kind.REPLAY_LATENCY: (
        "the median latency of {requests:.0f} replayed requests is {value:.2f} times the champion's, allowed is "
        "{bound:g} times"
    ),
    Kind.RELEASE_DOWN: "release {release} does not come up: {said}",
    Kind.CHAMPION_DOWN: (
        "a new instance of the champion, {champion}, does not come up, so nothing can be tried beside it" + _NOT_TRIED
    ),
    Kind.ENDPOINT_DOWN: (
        "the endpoint does not come up, and its reason does not tell whose instance failed" + _NOT_TRIED
    ),
    Kind.MOVE_DOWN: "the champion, {champion}, does not come up on its other instances: {said}",
    Kind.PREVIOUS_DOWN: "the previous champion, {previous}, does not come up: {said}",
    Kind.STAYS_BESIDE: (
        "a new instance of the champion, {champion}, does not come up: {said}. It keeps all traffic on the instances "
        "that it has, in config {config}"
    ),
    Kind.FIRST: "the first release serves at once",
    Kind.MOVED: "the champion serves from another endpoint config",
    Kind.WANTED_AGAIN: "release {champion}, the champion, is wanted again",
    Kind.REPLACED: "release {release} is wanted instead",
    Kind.MOVES_ALONE: "the champion, {champion}, is wanted alone, on other instances",
    Kind.OTHER_INSTANCES: "it is tried again on other instances",
    Kind.OTHER_SETTINGS: "it is tried again with other settings",
    Kind.ALARM: _alarm,
    Kind.SHARED_OUTAGE: _shared_outage,
    Kind.STILL_FIRING: "alarm {name} fires: the challenger gets no more traffic until it stops",
    Kind.ALARMS_UNREACHABLE: "the alarms cannot be read, so the challenger gets no more traffic: {said}",
    Kind.TAKEN_BACK: "asked for by {name}: {said}",
    Kind.APPROVED: lambda given: [f"{given.name}: {given.said}" if given.said else f"by {given.name}"],
    Kind.TRIAL_SKIPPED: "{name} skipped the trial: {said}",
    Kind.RESTORED: "asked for by {name}: {said}",
}
