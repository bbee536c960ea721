"""Clients of an AWS that moto stands in for. They are made once: making one takes longer than most tests do."""

from __future__ import annotations

import functools

from platforms.aws.clients import Clients
from platforms.aws.clients import clients as make


@functools.cache
def clients(region: str) -> Clients:
    """Clients of a region. What they see is what the present `mock_aws` holds; outside of one they are of no use."""
    return make(region)
