"""The rules as Pulumi CrossGuard policies."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from json import loads
from pathlib import Path
from typing import Any, NoReturn

from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyComplianceFramework,
    PolicyPack,
    PolicyProviderResource,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError

from modelstack.policy import tokens
from modelstack.policy.exemptions import USED, ExemptionError, Judgement, read
from modelstack.policy.rule import UNKNOWN, Declared, ResourceRule, StackRule
from modelstack.policy.rules import RULES


def start(file: Path) -> NoReturn:
    """Serve the pack to the engine that started this process; exits if the project's exemptions in `file` are wrong."""
    today = datetime.now(UTC).date()
    try:
        exemptions = read(file.read_text(), [rule.name for rule in RULES], today)
    except ExemptionError as error:
        sys.exit(f"error: {error}")
    PolicyPack(name="modelstack", policies=policies(Judgement(exemptions, today)))
    sys.exit()


def policies(judgement: Judgement) -> list[Policy]:
    """A policy for each rule, and a last one that reports used exemptions."""
    made: list[Policy] = []
    for rule in RULES:
        level = EnforcementLevel.ADVISORY if rule.advisory else EnforcementLevel.MANDATORY
        named: dict[str, Any] = {
            "name": rule.name,
            "description": rule.requires,
            "enforcement_level": level,
            "framework": PolicyComplianceFramework(name=rule.control),
            "remediation_steps": rule.fix,
        }
        if isinstance(rule, ResourceRule):
            made.append(ResourceValidationPolicy(**named, validate=_of_resource(rule, judgement)))
        elif isinstance(rule, StackRule):
            made.append(StackValidationPolicy(**named, validate=_of_stack(rule, judgement)))
    made.append(
        StackValidationPolicy(
            name=USED,
            description="Rules that are not asked, by policy/exemptions.yaml.",
            enforcement_level=EnforcementLevel.ADVISORY,
            validate=_of_exemptions(judgement),
        )
    )
    return made


def _of_resource(rule: ResourceRule, judgement: Judgement) -> Any:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        if rule.is_about(tokens.current(args.resource_type)):
            resource = _declared(args.resource_type, args.name, args.urn, args.props, args.provider)
            for text, urn in judgement.told(rule, rule.findings(resource)):
                report(text, urn)

    return validate


def _of_stack(rule: StackRule, judgement: Judgement) -> Any:
    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        resources = [
            _declared(each.resource_type, each.name, each.urn, each.props, each.provider) for each in args.resources
        ]
        for text, urn in judgement.told(rule, rule.findings(resources)):
            report(text, urn)

    return validate


def _of_exemptions(judgement: Judgement) -> Any:
    def validate(_: StackValidationArgs, report: ReportViolation) -> None:
        lines = list(judgement.used())
        if lines:
            report("\n".join(lines), None)

    return validate


def _declared(
    kind: str, name: str, urn: str, props: Mapping[str, Any], provider: PolicyProviderResource | None
) -> Declared:
    return Declared(tokens.current(kind), name, urn, plain(props), _default_tags(provider))


def plain(value: Any) -> Any:
    """Values as dicts and lists, with `UNKNOWN` where pulumi-policy would raise an error on access."""
    if isinstance(value, Mapping):
        return {name: _asked(value, name) for name in value}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_asked(value, at) for at in range(len(value))]
    return value


def _asked(values: Any, key: Any) -> Any:
    try:
        return plain(values[key])
    except UnknownValueError:
        return UNKNOWN


def _default_tags(provider: PolicyProviderResource | None) -> dict[str, str]:
    """The tags that a provider gives to every resource; its config is JSON within a text."""
    configured = plain(provider.props).get("defaultTags") if provider else None
    if isinstance(configured, str):
        configured = loads(configured)
    tags = configured.get("tags") if isinstance(configured, dict) else None
    return dict(tags) if isinstance(tags, dict) else {}
