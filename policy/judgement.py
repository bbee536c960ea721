"""The report on findings: a violation, or an exemption."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date

from policy.exemptions import FILE, Exemption, found
from policy.rule import Declared, Finding, Rule

USED = "exemptions"
"""The policy that reports used exemptions."""


class Judgement:
    """The exemptions, and which of them one preview or update has used."""

    def __init__(self, exemptions: tuple[Exemption, ...], today: date) -> None:
        self._exemptions, self._today = exemptions, today
        self._used: dict[Exemption, dict[str, Declared]] = {}

    def told(self, rule: Rule, findings: Iterable[Finding]) -> Iterator[tuple[str, str]]:
        """A text and the URN of a resource for each finding of a rule that is not exempt."""
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
