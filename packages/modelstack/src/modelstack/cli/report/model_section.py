"""The comment's sections on the model and its data. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelstack.cli.report.compared import Bin, Calibration, Compared, Decisions, Segment
from modelstack.cli.report.data import Drift, Feature, drift
from modelstack.cli.report.facts import Facts, Latency, Missing, PackageFacts
from modelstack.cli.report.markdown import Section, bar, code, fenced, sided, table, text
from modelstack.pipeline.comparison import Comparison

_SHOWN = 8  # segments and features that are seen without a click
_LISTED = 20  # segments that are seen with one
_UNITS = ((1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "kB"))


def model_in_short(facts: Facts) -> str:
    """Which of the two is better, in a line."""
    if isinstance(facts.challenger, Missing):
        why = facts.challenger.why
        return f"❌ {text(why.splitlines()[0], 300)}" if facts.challenger.failed else text(why)
    if facts.gates:
        return "❌ below its gates, and would not be released"
    if facts.same_model:
        return "the same package as the one that serves"
    if isinstance(facts.champion, Missing):
        return text(facts.champion.why)
    if isinstance(facts.compared, Missing):
        return f"changes; not compared: {text(facts.compared.why, 300)}"
    found = facts.compared.decisions
    changed = f"; {100 * found.changed / found.rows:.1f}% of the decisions change" if found.mended is not None else ""
    return f"{_verdict(facts.compared.loss)}{changed}"


def _verdict(loss: Comparison) -> str:
    values = f"{code(loss.loss)} {loss.champion:.4f} → {loss.challenger:.4f}"
    if loss.low is None or loss.high is None:
        return f"not known: {values}, on too few days or rows to be sure of anything"
    if loss.low > 0:
        return f"✅ surely better: {values}"
    if loss.high < 0:
        return f"⚠️ surely worse: {values}"
    return f"no difference that is sure: {values}"


def model(facts: Facts) -> list[Section]:
    """The model: metrics, segments, calibration, decisions, size and latency."""
    made = facts.challenger
    if isinstance(made, Missing):
        return [Section("Model", ["This checkout gives no model:", "", *fenced(made.why)])] if made.failed else []
    if facts.same_model:
        return [Section("Model", fenced(facts.gates))] if facts.gates else []
    before = facts.champion if isinstance(facts.champion, PackageFacts) else None
    lines = [f"{text(facts.champion.why, 300)}."] if isinstance(facts.champion, Missing) else []
    if facts.gates:
        lines += [*fenced(facts.gates), ""]
    folded: list[tuple[str, list[str]]] = []
    if before and isinstance(facts.compared, Missing):
        lines += [f"Not compared on the same rows: {text(facts.compared.why, 600)}."]
    elif isinstance(facts.compared, Compared):
        more, folded = _compared(facts.compared)
        lines += more
    lines += ["", *_sealed(before, made, facts.latency)]
    if isinstance(facts.latency, Missing):
        lines += ["", f"Latency was not measured: {text(facts.latency.why, 300)}."]
    folded = [*folded, ("Metrics, as each was evaluated", _metrics(before, made))]
    changed = _parameters(before, made)
    if changed:
        folded = [
            (f"Parameters that differ ({len(changed)})", table(("parameter", "champion", "challenger"), changed)),
            *folded,
        ]
    return [Section("Model", lines, folded)]


def _compared(found: Compared) -> tuple[list[str], list[tuple[str, list[str]]]]:
    loss = found.loss
    over = f"{loss.rows:,} rows" + (f" of {loss.days} days" if loss.days else "")
    gain = "nothing is sure of it" if loss.low is None else f"95% interval {loss.low:+.4f} to {loss.high:+.4f}"
    lines = [
        f"On the same {over}, which neither has seen: {code(loss.loss)} "
        f"**{loss.champion:.4f} → {loss.challenger:.4f}**, "
        f"gain {loss.gain:+.4f} ({gain}; above 0 the challenger is better)."
    ]
    if any(found.only):
        lines += [
            f"Left out: {found.only[0]:,} rows that only the champion has, {found.only[1]:,} only the challenger."
        ]
    lines += ["", _decisions(found.decisions)]
    folded: list[tuple[str, list[str]]] = []
    if found.segments:
        sure = [one for one in found.segments if one.surely]
        worse = sum(one.surely == "worse" for one in sure)
        lines += ["", f"Of {found.tested} segments, {worse} are surely worse and {len(sure) - worse} surely better."]
        if sure:
            lines += ["", *_segments(sure[:_SHOWN])]
        folded += [(f"By segment ({found.tested})", _segments(found.segments))]
    if found.calibration:
        errors = f"{found.calibration.champion:.4f} → {found.calibration.challenger:.4f}"
        folded += [(f"Calibration: expected error {errors}", _bins(found.calibration))]
    return lines, folded


def _decisions(found: Decisions) -> str:
    share = f"{found.changed:,} of {found.rows:,} answers change ({100 * found.changed / found.rows:.1f}%)"
    if found.mended is None:
        return f"{share}, by {found.moved or 0.0:.4g} in the mean."
    return f"Decisions: {share}: {found.mended:,} wrong ones become right, {found.broken:,} right ones become wrong."


def _segments(found: tuple[Segment, ...] | list[Segment]) -> list[str]:
    most = max((abs(one.loss.gain) for one in found), default=0.0)
    rows = [
        (
            f"{code(one.feature, 40)} = {code(one.value, 40)}",
            f"{one.loss.rows:,}",
            f"{one.loss.champion:.4f}",
            f"{one.loss.challenger:.4f}",
            f"{sided(one.loss.gain, most)} {one.loss.gain:+.4f}",
            "" if one.loss.low is None else f"{one.loss.low:+.4f} to {one.loss.high:+.4f}",
            {"better": "✅ better", "worse": "⚠️ worse"}.get(one.surely, ""),
        )
        for one in found
    ]
    note = "The intervals hold for all segments together (Bonferroni)."
    head = ("segment", "rows", "champion", "challenger", "gain", "interval", "")
    return [*table(head, rows, right=(1, 2, 3), most=_LISTED), "", note]


def _bins(found: Calibration) -> list[str]:
    rows = [
        (f"{one.low:.1f} to {one.high:.1f}", *_bin(one, champion=True), *_bin(one, champion=False))
        for one in found.bins
        if one.champion or one.challenger
    ]
    head = ("probability", "champion: rows", "said", "happened", "challenger: rows", "said", "happened")
    return table(head, rows, right=(1, 2, 4, 5))


def _bin(one: Bin, *, champion: bool) -> tuple[str, str, str]:
    side = one.champion if champion else one.challenger
    if side is None:
        return "0", "", ""
    rows, said, happened = side
    return f"{rows:,}", f"{said:.3f}", f"`{bar(happened)}` {happened:.3f}"


def _sealed(
    before: PackageFacts | None, made: PackageFacts, latency: tuple[Latency | None, Latency] | Missing
) -> list[str]:
    pair = (None, None) if isinstance(latency, Missing) else latency
    sides = [(side, pair[place]) for place, side in enumerate((before, made))]
    rows = [
        ("recipe", *(code(side.recipe[:12]) if side else "-" for side, _ in sides)),
        ("package", *(code(side.digest.removeprefix("sha256:")[:12]) if side else "-" for side, _ in sides)),
        ("size", *(_size(side.bytes) if side else "-" for side, _ in sides)),
        ("served by", *(("the fast form" if side.fast else "its own code") if side else "-" for side, _ in sides)),
        ("latency p50", *(f"{found.p50_ms:.2f} ms" if found else "-" for _, found in sides)),
        ("latency p99", *(f"{found.p99_ms:.2f} ms" if found else "-" for _, found in sides)),
    ]
    measured = "<sub>Latency: one request at a time, on the machine that wrote this, in turns.</sub>"
    return [*table(("", "champion", "challenger"), rows, right=(1, 2)), *(["", measured] if pair[1] else [])]


def _size(given: int) -> str:
    size, unit = next(((size, unit) for size, unit in _UNITS if given >= size), (1, "bytes"))
    return f"{given / size:,.1f} {unit}"


def _metrics(before: PackageFacts | None, made: PackageFacts) -> list[str]:
    known: Mapping[str, float] = before.metrics if before else {}
    rows = [
        (code(name), _number(known.get(name)), _number(made.metrics.get(name))) for name in {**made.metrics, **known}
    ]
    return table(("metric", "champion", "challenger"), rows, right=(1, 2))


def _number(value: Any) -> str:
    if not isinstance(value, int | float):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _parameters(before: PackageFacts | None, made: PackageFacts) -> list[tuple[str, str, str]]:
    if before is None:
        return []
    names = sorted({*before.parameters, *made.parameters})
    pairs = [(name, before.parameters.get(name, "-"), made.parameters.get(name, "-")) for name in names]
    return [(code(name), code(one), code(other)) for name, one, other in pairs if one != other]


def _drift(facts: Facts) -> Drift | None:
    before, made = facts.champion, facts.challenger
    if isinstance(before, Missing) or isinstance(made, Missing) or facts.same_model:
        return None
    return drift(before.profile, made.profile) if before.profile and made.profile else None


def data_in_short(facts: Facts) -> str:
    """The difference of the training sets, in a line; empty if there are not two."""
    found = _drift(facts)
    if found is None:
        return ""
    if found.same:
        return "the same training set, feature by feature"
    moved = [one.name for one in found.features if one.moved]
    parts = [f"{found.rows[0]:,} → {found.rows[1]:,} rows"] if found.rows[0] != found.rows[1] else []
    parts += [f"{len(moved)} of {len(found.features)} features moved"] if moved else []
    parts += [f"+ {', '.join(code(name) for name in found.added[:5])}"] if found.added else []
    parts += [f"- {', '.join(code(name) for name in found.removed[:5])}"] if found.removed else []
    return "; ".join(parts) or "nothing that is more than chance"


def data(facts: Facts) -> list[Section]:
    """Differences between the training sets."""
    found = _drift(facts)
    if found is None or found.same or not isinstance(facts.champion, PackageFacts):
        return []
    moved = [one for one in found.features if one.moved]
    lines = [f"{found.rows[0]:,} → {found.rows[1]:,} rows to train on{_times(facts)}."]
    for said, names in (("New features", found.added), ("Gone", found.removed), ("Of another kind", found.other)):
        lines += [f"{said}: {', '.join(code(name) for name in names[:20])}."] if names else []
    differ = [one for one in found.features if one.distance or one.new]
    if moved:
        lines += ["", *_features(moved[:_SHOWN])]
    else:
        lines += ["", "Of the features that both have, none is farther than twice what chance does."]
    folded = [(f"Features that differ ({len(differ)} of {len(found.features)})", _features(differ))] if differ else []
    return [Section("Data", lines, folded)]


def _times(facts: Facts) -> str:
    spans = [
        " to ".join(str(side.training[name])[:10] for name in ("first_event", "last_event"))
        for side in (facts.champion, facts.challenger)
        if isinstance(side, PackageFacts) and {"first_event", "last_event"} <= side.training.keys()
    ]
    return f" ({text(spans[0])}, now {text(spans[1])})" if len(spans) == 2 else ""


def _features(found: list[Feature]) -> list[str]:
    rows = [
        (
            code(one.name, 60),
            f"`{bar(one.distance / 0.833)}` {one.distance:.3f}",
            f"{one.chance:.3f}",
            text(one.what, 60),
            f"{100 * one.missing[0]:.1f}% → {100 * one.missing[1]:.1f}%",
            ", ".join(code(name, 30) for name in one.new[:5]) + (" …" if len(one.new) > 5 else ""),
        )
        for one in found
    ]
    head = ("feature", "distance", "by chance", "what moved", "missing", "new codes")
    note = "Distance: the root of the Jensen-Shannon divergence, 0 to 0.833. By chance: for rows that are independent."
    return [*table(head, rows, right=(2,)), "", note]
