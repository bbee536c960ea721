"""Changes of permissions and instance costs in a preview. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from modelstack.cli.report.preview import ROLLOUT, UNKNOWN, Preview, Resource
from modelstack.policy.cluster import rights
from modelstack.policy.documents import documents, listed
from modelstack.policy.permissions import ATTACHED, excesses, is_of_aws
from modelstack.policy.principals import is_open, openings
from modelstack.policy.tokens import CONFIG, FUNCTION_PERMISSION, ROLE

_CLUSTER_ROLES = {f"kubernetes:rbac.authorization.k8s.io/v1:{kind}" for kind in ("Role", "ClusterRole")}


@dataclass(frozen=True)
class Statement:
    """One statement of a policy document, which is added or removed.

    Attributes:
        resource: The logical name of the document's resource.
        effect: `Allow`, `Deny`, or `Attach` for a policy attached by name.
        who: Principals; empty where the document implies them.
        condition: JSON; empty without one.
        wide: Whether the policy pack finds it too wide, or open to everybody.
    """

    adds: bool
    resource: str
    effect: str
    who: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    on: tuple[str, ...] = ()
    condition: str = ""
    wide: bool = False


@dataclass(frozen=True)
class Permissions:
    """Changed statements, wide ones first; `unknown` names resources with a document not known before the update."""

    statements: tuple[Statement, ...] = ()
    unknown: tuple[str, ...] = ()


def permissions(preview: Preview) -> Permissions:
    """The changed statements. Inputs with an unknown document have none; their resource is listed as unknown."""
    found: list[Statement] = []
    unknown: dict[str, None] = {}
    for item in preview.changes:
        unsaid = {name for name, value in item.new.items() if _not_known(value, name)}
        if unsaid:
            unknown[item.name] = None
        said = ({name: value for name, value in side.items() if name not in unsaid} for side in (item.old, item.new))
        before, after = (set(_statements(item, side)) for side in said)
        found += after - before
        found += (replace(one, adds=False) for one in before - after)
    order = sorted(found, key=lambda one: (not (one.adds and one.wide), not one.adds, one.resource, one.actions))
    return Permissions(tuple(order), tuple(unknown))


def _not_known(value: object, name: str) -> bool:
    """Whether an input holds, at any depth, a policy document that is not known yet."""
    if isinstance(value, Mapping):
        return any(_not_known(each, field) for field, each in value.items())
    if isinstance(value, list):
        return any(_not_known(each, name) for each in value)
    about = "policy" in name.lower() and not name.lower().endswith(("arn", "arns", "name"))
    return about and isinstance(value, str) and UNKNOWN in value and "Statement" not in value


def _statements(item: Resource, inputs: Mapping[str, Any]) -> Iterator[Statement]:
    for document in documents(inputs):
        for one in document.statements:
            yield _statement(item, one)
    for name in (*ATTACHED, "permissionsBoundary"):
        for arn in listed(inputs.get(name)):
            yield Statement(True, item.name, "Attach", on=(_known(arn),), wide=name in ATTACHED and is_of_aws(arn))
    if item.type in _CLUSTER_ROLES:
        for rule in inputs.get("rules") or ():
            yield _rule(item, rule)
    if item.type == FUNCTION_PERMISSION and inputs:
        given = (_known(inputs.get("function", "")),)
        source = str(inputs.get("sourceArn", ""))
        condition = json.dumps({"SourceArn": _known(source)}) if source else ""
        who, what = str(inputs.get("principal", "")), (str(inputs.get("action", "")),)
        yield Statement(True, item.name, "Allow", (who,), what, given, condition, is_open(who))


def _rule(item: Resource, rule: Mapping[str, Any]) -> Statement:
    """A rule of a cluster's Role as a statement; wide if the policy pack finds it so."""
    groups, resources, verbs = (listed(rule.get(name)) for name in ("apiGroups", "resources", "verbs"))
    names = ", ".join(listed(rule.get("resourceNames")))
    on = [f"{group or 'core'}/{one}{f' ({names})' if names else ''}" for group in groups for one in resources]
    wide = any(rights({**rule, "apiGroups": groups, "resources": resources, "verbs": verbs}))
    return Statement(True, item.name, "Allow", (), tuple(sorted(verbs)), tuple(sorted(on)), wide=wide)


def _statement(item: Resource, one: Mapping[str, Any]) -> Statement:
    who = (*_principals(one.get("Principal")), *(f"not {each}" for each in _principals(one.get("NotPrincipal"))))
    actions = tuple(sorted(listed(one.get("Action")) + [f"not {each}" for each in listed(one.get("NotAction"))]))
    on = [_known(each) for each in listed(one.get("Resource"))]
    on += [f"not {_known(each)}" for each in listed(one.get("NotResource"))]
    condition = json.dumps(one["Condition"], sort_keys=True) if one.get("Condition") else ""
    wide = any((*excesses(item.type, one), *openings(one, trust=item.type == ROLE)))
    return Statement(True, item.name, one["Effect"], who, actions, tuple(sorted(on)), condition, wide)


def _principals(given: object) -> Iterator[str]:
    if isinstance(given, Mapping):
        yield from (f"{kind}: {_known(each)}" for kind, named in given.items() for each in listed(named))
    else:
        yield from map(_known, listed(given))


def _known(value: object) -> str:
    return str(value).replace(UNKNOWN, "(not known yet)")


@dataclass(frozen=True)
class Prices:
    """Instance prices: US dollars an hour by type, hours a month, and the date."""

    hourly: Mapping[str, float]
    hours: float
    priced_on: str

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Prices:
        """Read `modelstack/policy/prices.json`."""
        return cls(given["hourly"], given["hours_a_month"], given["priced_on"])


@dataclass(frozen=True)
class Cost:
    """Cost of an endpoint config's instances; `monthly` is US dollars, without the `unpriced` types."""

    what: str
    monthly: float
    unpriced: tuple[str, ...] = ()


@dataclass(frozen=True)
class Costs:
    """Costs of an endpoint now, during the trial, and after a promotion; None for an unknown or missing config."""

    now: Cost | None
    trial: Cost | None
    after: Cost | None


def costs(preview: Preview, prices: Prices, champion_config: str | None) -> Costs:
    """The endpoint's costs; `champion_config` is the name of the endpoint config that serves today."""
    sides = [side for item in preview.resources if item.type == CONFIG for side in (item.old, item.new) if side]
    configs = {str(side.get("name")): side for side in sides}
    declared = preview.only(ROLLOUT)
    inputs = declared.new if declared else {}
    target = inputs.get("desired_release")
    wanted = target.get("config_name") if isinstance(target, Mapping) else None
    both = (inputs.get("trial_config"), inputs.get("shadow_config"))
    fresh = [str(item.new.get("name")) for item in preview.changes if item.type == CONFIG and item.kind == "create"]
    newest = [name for name in fresh if name not in both]  # the target's fields are not known before its package is
    after = wanted or (newest[0] if len(newest) == 1 else None)
    pair = inputs.get("trial_config") if inputs.get("start_trial") else None
    found = (_cost(configs.get(str(name)), prices) if name else None for name in (champion_config, pair, after))
    return Costs(*found)


def _cost(config: Mapping[str, Any] | None, prices: Prices) -> Cost | None:
    if config is None:
        return None
    lists = [config.get("productionVariants"), config.get("shadowProductionVariants")]
    variants: Sequence[Mapping[str, Any]] = [one for item in lists for one in listed(item) if isinstance(one, Mapping)]
    if not variants:
        return None
    parts, total, unpriced = list[str](), 0.0, list[str]()
    for one in variants:
        kind, count = str(one.get("instanceType") or "serverless"), one.get("initialInstanceCount") or 1
        parts.append(f"{count:g} x {kind}")
        total += prices.hours * prices.hourly.get(kind, 0.0) * count
        unpriced += [] if kind in prices.hourly else [kind]
    return Cost(" + ".join(parts), total, tuple(dict.fromkeys(unpriced)))
