"""The file of exemptions: who may break which rule, until when and why."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fnmatch import fnmatchcase
from typing import Any

import yaml

from modelstack.policy.rule import Declared, Finding, Rule

FILE = "policy/exemptions.yaml"
MOST = timedelta(days=366)
TYPES = "known-types"
"""The rule whose exemptions name a resource by its type, too: `TYPE::NAME`. Another type is not exempt by its name."""
USED = "exemptions"
"""The policy that reports used exemptions."""
_LISTS, _TEXTS = ("resources", "stacks"), ("rule", "reason", "who")
_TYPED = re.compile(r"[^*?\[\s]+:[^*?\[\s]+::.")
_FIELDS = ("rule", "resources", "stacks", "reason", "until", "who")


class ExemptionError(ValueError):
    """A wrong file of exemptions; the message names the entry and the field."""


@dataclass(frozen=True)
class Exemption:
    """One entry of the file, valid on the day `until` too; resources and stacks are patterns of names."""

    rule: str
    resources: tuple[str, ...]
    stacks: tuple[str, ...]
    reason: str
    until: date
    who: str

    def covers(self, rule: str, resource: Declared) -> bool:
        """Whether it is about a rule and a resource, whatever the day."""
        name = f"{resource.type}::{resource.name}" if rule == TYPES else resource.name
        return (
            rule == self.rule
            and any(fnmatchcase(name, pattern) for pattern in self.resources)
            and any(fnmatchcase(resource.stack, pattern) for pattern in self.stacks)
        )


def read(text: str, rules: Collection[str], today: date) -> tuple[Exemption, ...]:
    """Read the file of exemptions, expired ones included for the text of findings; `rules` are the names of all."""
    try:
        entries = yaml.safe_load(text) or []
    except yaml.YAMLError as error:
        raise ExemptionError(f"{FILE} is not YAML: {error}") from None
    if not isinstance(entries, list):
        raise ExemptionError(f"{FILE} is {type(entries).__name__}, and is to be a list of entries")
    return tuple(_entry(entry, f"{FILE}, entry {at}", rules, today) for at, entry in enumerate(entries, 1))


def _entry(entry: Any, where: str, rules: Collection[str], today: date) -> Exemption:
    if not isinstance(entry, dict):
        raise ExemptionError(f"{where} is {entry!r}, and is to hold the fields {', '.join(_FIELDS)}")
    for name in _FIELDS:
        if name not in entry:
            raise ExemptionError(f"{where}: the field {name} is missing; each entry has {', '.join(_FIELDS)}")
    for name in entry:
        if name not in _FIELDS:
            raise ExemptionError(f"{where}: there is no field {name!r}; each entry has {', '.join(_FIELDS)}")
    for name in _TEXTS:
        if not isinstance(entry[name], str) or not entry[name].strip():
            raise ExemptionError(f"{where}: {name} is {entry[name]!r}, and is to be a text")
    if entry["rule"] not in rules:
        near = difflib.get_close_matches(entry["rule"], rules, 1)
        meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(rules)}"
        raise ExemptionError(f"{where}: there is no rule {entry['rule']!r}; {meant}")
    _check_patterns(entry, where)
    until = entry["until"]
    if type(until) is not date:
        raise ExemptionError(f"{where}: until is {until!r}, and is to be a day such as {today.isoformat()}")
    if until - today > MOST:
        raise ExemptionError(f"{where}: until is {until}, and an exemption counts for a year at most")
    return Exemption(
        entry["rule"],
        tuple(entry["resources"]),
        tuple(entry["stacks"]),
        " ".join(entry["reason"].split()),
        until,
        entry["who"],
    )


def _check_patterns(entry: dict[str, Any], where: str) -> None:
    for name in _LISTS:
        values = entry[name]
        if not isinstance(values, list) or not values or not all(isinstance(each, str) and each for each in values):
            raise ExemptionError(f"{where}: {name} is {values!r}, and is to be a list of names or patterns")
    if entry["rule"] == TYPES and not all(map(_TYPED.match, entry["resources"])):
        raise ExemptionError(
            f"{where}: resources is {entry['resources']!r}, and for {TYPES} each is to be TYPE::NAME with a whole type"
        )


def found(exemptions: Sequence[Exemption], rule: str, resource: Declared) -> Exemption | None:
    """The exemption for a finding, the longest of several; None without one."""
    about = [each for each in exemptions if each.covers(rule, resource)]
    return max(about, key=lambda each: each.until, default=None)


class Judgement:
    """The exemptions, and which of them one preview or update has used."""

    def __init__(self, exemptions: tuple[Exemption, ...], today: date) -> None:
        self._exemptions, self._today = exemptions, today
        self._used: dict[Exemption, dict[str, Declared]] = {}

    def told(self, rule: Rule, findings: Iterable[Finding]) -> Iterator[tuple[str, str]]:
        """A text and the URN of a resource for each finding of a rule that is not exempt."""
        for resource, text in findings:
            exemption = found(self._exemptions, rule.name, resource)
            if exemption and self._today <= exemption.until:
                self._used.setdefault(exemption, {})[resource.name] = resource
                continue
            said = f"{resource.name}: {text}. {rule.fix}"
            if exemption:
                said += f" Its exemption in {FILE} ended on {exemption.until}: {exemption.reason}"
            yield said, resource.urn

    def used(self) -> Iterator[str]:
        """One line for each exemption that was used."""
        for exemption, resources in self._used.items():
            names = ", ".join(sorted(resources))
            asked = f"{exemption.rule} is not asked of {names} until {exemption.until}"
            yield f"{asked} ({exemption.who}): {exemption.reason}"
