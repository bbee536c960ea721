"""The metrics that SageMaker publishes of an endpoint, as CloudWatch names them.

Source: Amazon SageMaker Developer Guide, "Metrics for monitoring with CloudWatch", endpoint invocation metrics.
"""

from __future__ import annotations

SAGEMAKER = "AWS/SageMaker"
"""The namespace. The dimensions are `EndpointName` and `VariantName`."""
INVOCATIONS = "Invocations"
FAILED = "Invocation5XXErrors"
REFUSED = "Invocation4XXErrors"
LATENCY = "ModelLatency"
"""In microseconds."""


def slower_than(milliseconds: float) -> str:
    """The statistic of `LATENCY` that counts the requests that took longer."""
    return f"TC({milliseconds * 1000:.0f}:)"
