"""One bed for the whole story: a local cloud, a backend, and stack `local`, all in a temporary folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench.bed import Bed, bed


@pytest.fixture(scope="module")
def story() -> Iterator[Bed]:
    """An empty local cloud and stack; the tests of a module go through its life in order."""
    with bed() as made:
        yield made
