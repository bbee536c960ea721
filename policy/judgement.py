"""What is told of a finding: that it stops the update, or that it is exempt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date

from policy.exemptions import FILE, Exemption, found
from policy.rule import Declared, Finding, Rule

USED = "exemptions"
"""The name under which exemptions that are used are told."""


class Judgement:
    """Findings on one side, the exemptions that they used on the other. It lives as long as one preview or update."""

    def __init__(self, exemptions: tuple[Exemption, ...], today: date) -> None:
        self._exemptions, self._today = exemptions, today
        self._used: dict[Exemption, dict[str, Declared]] = {}

    def told(self, rule: Rule, findings: Iterable[Finding]) -> Iterator[tuple[str, str]]:
        """What is to be reported of a rule: a text and the URN of a resource, once for each finding that counts."""
        for resource, text in findings:
            exemption = found(self._exemptions, rule.name, resource)
            if exemption and exemption.holds(self._today):
                self._used.setdefault(exemption, {})[resource.name] = resource
                continue
            said = f"{resource.name}: {text}. {rule.mend}"
            if exemption:
                said += f" Its exemption in {FILE} ended on {exemption.until}: {exemption.reason}"
            yield said, resource.urn

    def used(self) -> Iterator[str]:
        """One line for each exemption that was used."""
        for exemption, resources in self._used.items():
            yield _line(exemption, resources)


def _line(exemption: Exemption, resources: Mapping[str, Declared]) -> str:
    names = ", ".join(sorted(resources))
    return f"{exemption.rule} is not asked of {names} until {exemption.until} ({exemption.who}): {exemption.reason}"
