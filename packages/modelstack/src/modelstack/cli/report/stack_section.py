"""The comment's sections on the stack: policies, resources, permissions, cost, and the rollout. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from modelstack.cli.report.duration import Traffic
from modelstack.cli.report.facts import Facts, Missing
from modelstack.cli.report.infrastructure import Cost, Costs, Statement, costs, permissions
from modelstack.cli.report.markdown import Section, code, fenced, table, text
from modelstack.cli.report.preview import Kind, PolicyViolation, Resource, shown
from modelstack.cli.view.times import duration

_SIGNS: Mapping[Kind, str] = {
    "create": "🟢 create",
    "update": "🟡 update",
    "replace": "🟠 replace",
    "delete": "🔴 delete",
}
_NAMED = 6  # inputs of a resource that are named
_MINUTE = 60


def policies_in_short(facts: Facts) -> str:
    """Which policies fail, in a line."""
    stops = [item for item in facts.preview.findings if item.stops]
    if stops:
        names = dict.fromkeys(item.policy for item in stops)
        return f"❌ {', '.join(map(code, names))} would stop an update"
    if facts.preview.code:
        return "none stops it, as far as the preview came"
    if not facts.preview.packs:
        return "no policy pack ran"
    told = len(facts.preview.findings)
    return f"✅ none fails{f'; advice: {told}' if told else ''}"


def policies(facts: Facts) -> list[Section]:
    """Findings of policies, and errors of the preview."""
    seen = facts.preview
    stops, told = ([item for item in seen.findings if item.stops is stop] for stop in (True, False))
    lines: list[str] = []
    if stops:
        lines += table(("policy", "resource", "what it says"), [_finding(item) for item in stops])
    if seen.code and seen.errors:
        lines += [*([""] if lines else []), f"The preview ended with exit code {seen.code}:", ""]
        lines += fenced("\n".join(seen.errors))
    advice = table(("policy", "resource", "what it says"), [_finding(item) for item in told])
    folded = [(f"Advice, which stops nothing ({len(told)})", advice)] if told else []
    if not lines and not folded:
        return []
    return [Section("Policies", lines or ["None fails."], folded)]


def _finding(item: PolicyViolation) -> tuple[str, str, str]:
    return code(item.policy), code(item.resource) if item.resource else "the stack", text(item.message, 400)


def infrastructure_in_short(facts: Facts) -> str:
    """How many resources change, in a line."""
    counts = Counter(item.kind for item in facts.preview.changes)
    if not counts:
        return "no resource changes" if facts.preview.code == 0 else "not known, as the preview fails"
    said = ", ".join(f"{counts[kind]} to {kind}" for kind in _SIGNS if counts[kind])
    found = permissions(facts.preview)
    wide = sum(one.adds and one.wide for one in found.statements)
    more = f"; permissions: {_count(len(found.statements), 'statement')}" if found.statements else ""
    far = ", as far as the preview came" if facts.preview.code else ""
    return f"{said}{far}{more}{f', **{wide} new and wide**' if wide else ''}"


def infrastructure(facts: Facts) -> list[Section]:
    """Resources, permissions and cost."""
    changes = facts.preview.changes
    if not changes:
        return []
    order = ("delete", "replace", "create", "update")
    ranked = sorted(changes, key=lambda item: (order.index(item.kind), item.type, item.name))
    listed = table(("", "resource", "type", "what differs"), [_resource(item) for item in ranked], most=80)
    grave = [item for item in ranked if item.kind in {"delete", "replace"}]
    lines: list[str] = []
    if grave:
        lines += ["Goes away, or is made anew:", ""]
        lines += [*table(("", "resource", "type", "what differs"), [_resource(item) for item in grave]), ""]
    return [
        Section("Infrastructure", [*lines, *_cost(facts)], [(f"All resources that change ({len(ranked)})", listed)]),
        *_permissions(facts),
    ]


def _resource(item: Resource) -> tuple[str, str, str, str]:
    return _SIGNS[item.kind], code(item.name), code(item.type), _differs(item)


def _differs(item: Resource) -> str:
    if item.kind not in {"update", "replace"}:
        return ""
    names = item.replaces or item.differs
    told = [_input(item, name) for name in names[:_NAMED] if not name.startswith("__")]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{'<br>'.join(told)}{more}"


def _input(item: Resource, name: str) -> str:
    top = name.partition(".")[0].partition("[")[0]
    before, after = item.old.get(top), item.new.get(top)
    simple = {type(before), type(after)}.isdisjoint({dict, list})
    if simple and before != after and len(str(before)) + len(str(after)) < 2 * 80:
        return f"{code(name)}: {code(shown(before))} → {code(shown(after))}"
    return code(name)


def _cost(facts: Facts) -> list[str]:
    found = costs(facts.preview, facts.prices, facts.champion_config)
    rows = [
        (when, text(cost.what), f"{cost.monthly:,.0f} USD", _unpriced(cost))
        for when, cost in (("now", found.now), ("in the trial", found.trial), ("afterwards", found.after))
        if cost
    ]
    if not rows:
        return ["What the endpoint costs is not known from this preview."]
    head = ("the endpoint", "instances", "a month", "")
    source = f"Instances alone, on demand in us-east-1, as of {text(facts.prices.priced_on)} (`policy/prices.json`)."
    return [*table(head, rows, right=(2,)), "", f"<sub>{source}</sub>"]


def _unpriced(cost: Cost) -> str:
    return f"without {', '.join(code(kind) for kind in cost.unpriced)}: not priced" if cost.unpriced else ""


def cost_in_short(facts: Facts) -> str:
    """The endpoint's monthly cost, in a line; empty if unknown."""
    found: Costs = costs(facts.preview, facts.prices, facts.champion_config)
    if found.after is None:
        return ""
    unknown = " and what is not priced" if found.after.unpriced else ""
    if found.now is None:
        return f"{found.after.monthly:,.0f} USD a month{unknown}"
    less = found.after.monthly - found.now.monthly
    change = f" ({less:+,.0f})" if round(less) else ""
    return f"{found.now.monthly:,.0f} → {found.after.monthly:,.0f} USD a month{change}{unknown}"


def _permissions(facts: Facts) -> list[Section]:
    found = permissions(facts.preview)
    if not found.statements and not found.unknown:
        return []
    rows = [_statement(one) for one in found.statements]
    head = ("", "of", "effect", "who", "actions", "on", "if")
    listed = table(head, rows, most=60)
    wide = [row for one, row in zip(found.statements, rows, strict=True) if one.adds and one.wide]
    lines = [f"{_count(len(rows), 'statement')}: + comes, - goes."] if rows else []
    if wide:
        lines += ["", f"New and wide (actions by a pattern, any resource, anybody, or all but some): {len(wide)}.", ""]
        lines += table(head, wide, most=10)
    if found.unknown:
        lines += ["", f"Not known before the update: the documents of {_names(found.unknown)}."]
    return [Section("Permissions", lines, [("All statements", listed)] if rows else [])]


def _statement(one: Statement) -> tuple[str, ...]:
    parts = (one.who, one.actions, one.on)
    cells = ("<br>".join(code(item, 90) for item in part[:8]) + (" …" if len(part) > 8 else "") for part in parts)
    effect = "**Deny**" if one.effect == "Deny" else text(one.effect)
    return (
        "+" if one.adds else "-",
        code(one.resource),
        effect,
        *cells,
        code(one.condition, 90) if one.condition else "",
    )


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(code(name) for name in names[:10]) + more


def rollout_in_short(facts: Facts) -> str:
    """The duration of the rollout, in a line."""
    found = facts.rollout
    if isinstance(found, Missing):
        return text(found.why, 300)
    if isinstance(facts.traffic, Traffic) and not facts.traffic.per_second and not found.at_once:
        return "⚠️ nothing asked the champion in the last day: a trial without requests ends in a rollback"
    if not found.in_time:
        ends = "rolled back" if found.ends == "roll_back" else "held"
        return f"⚠️ does not end within {duration(found.limit)} at today's traffic, and is then {ends}"
    least = "at least " if found.better or found.unknown else "about "
    at = ", whatever the traffic" if found.at_once else " at today's traffic"
    return f"{least}{duration(found.seconds)}{at}"


def rollout(facts: Facts) -> list[Section]:
    """The duration of each step, and its assumptions."""
    found, traffic = facts.rollout, facts.traffic
    if isinstance(found, Missing) or isinstance(traffic, Missing):
        return []
    rows = [
        (f"{step.weight}%{' (copies)' if step.shadow else ''}", duration(step.bake_seconds), duration(seconds))
        for step, seconds in found.steps
    ]
    lines = [*table(("weight", "bakes at least", "lasts about"), rows, right=(1, 2)), ""]
    per_minute = traffic.per_second * _MINUTE
    needs = (
        f"The judge needs so long when the challenger answers as well as the champion; it has {duration(found.limit)}."
    )
    if found.at_once:
        needs = "The challenger takes everything at once, and is only watched: no request has to prove anything."
    failed = 100 * traffic.failed
    lines += [f"Today's traffic: {per_minute:,.3g} requests a minute, of which {failed:.2g}% failed. {needs}"]
    if found.better:
        lines += ["It has to be better than the champion on a metric (`promote_when: better`), which takes longer."]
    if found.unknown:
        lines += [f"Not counted, because nobody knows when their values come: {_names(found.unknown)}."]
    if any(step.approve for step, _ in found.steps):
        lines += ["Waits for a person are not counted."]
    return [Section("Rollout", lines)]


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
