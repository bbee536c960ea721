"""The description of an alarm, which holds the fields that CloudWatch does not have.

Example: `Severity: page. More than 5% of the requests fail. Runbook: docs/how-to/runbook.md#5xx`
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_WRITTEN = re.compile(
    r"(?:Severity: (?P<severity>page|ticket)\. )?(?P<text>.*?)(?: Runbook: (?P<runbook>\S+))?", re.DOTALL
)


@dataclass(frozen=True)
class Description:
    """The description of an alarm; `severity` and `runbook` are empty if it does not name them."""

    severity: str
    text: str
    runbook: str = ""

    def __str__(self) -> str:
        return f"Severity: {self.severity}. {self.text} Runbook: {self.runbook}"

    @classmethod
    def read(cls, text: str) -> Description:
        """Parse the result of `str`; any other description is all text."""
        found = _WRITTEN.fullmatch(text)
        return cls(**found.groupdict(default="")) if found else cls("", text)
