"""What are resources called, and what time is it?"""

from __future__ import annotations

from dataclasses import dataclass

from localcloud.server.platform import Clock


@dataclass(frozen=True)
class Account:
    """The account and region that everything here belongs to."""

    account: str
    region: str
    clock: Clock

    def arn(self, kind: str, name: str) -> str:
        """The ARN of a SageMaker resource, e.g. of kind `endpoint-config`."""
        return f"arn:aws:sagemaker:{self.region}:{self.account}:{kind}/{name}"

    def name(self, kind: str, name_or_arn: str) -> str:
        """The name in an ARN of a kind, or the name itself."""
        return name_or_arn.removeprefix(self.arn(kind, ""))

    def now(self) -> float:
        """Epoch seconds to the millisecond, which is what AWS's timestamps hold."""
        return round(self.clock.time(), 3)
