"""What the description of an alarm holds: written and read here alone, as CloudWatch keeps no fields of its own for it.

str(Description("page", "More than 5% of the requests fail.", "docs/how-to/runbook.md#5xx"))
# "Severity: page. More than 5% of the requests fail. Runbook: docs/how-to/runbook.md#5xx"
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_WRITTEN = re.compile(
    r"(?:Severity: (?P<severity>page|ticket)\. )?(?P<text>.*?)(?: Runbook: (?P<runbook>\S+))?", re.DOTALL
)


@dataclass(frozen=True)
class Description:
    """The description of an alarm.

    Attributes:
        severity: `page` wakes somebody, `ticket` waits for the day; empty where it does not say.
        text: What has happened, in sentences.
        runbook: The address of the page that says what to do; empty where it does not say.
    """

    severity: str
    text: str
    runbook: str = ""

    def __str__(self) -> str:
        """As CloudWatch keeps it."""
        return f"Severity: {self.severity}. {self.text} Runbook: {self.runbook}"

    @classmethod
    def read(cls, text: str) -> Description:
        """Read back what `str` wrote; of any other description all is text."""
        found = _WRITTEN.fullmatch(text)
        return cls(**found.groupdict(default="")) if found else cls("", text)
