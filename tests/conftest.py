"""Fixtures that every room may use."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

pytest_plugins = ["localcloud.testing.fixtures"]

ROOT = Path(__file__).resolve().parents[1]

# On a busy machine a slow example is no failure; the rest is hypothesis's own profile, the one for CI where CI is set.
settings.register_profile("patient", settings(settings.default, deadline=None))
settings.load_profile("patient")


@pytest.fixture(scope="session")
def cloud_config() -> Path:
    """The project's own localcloud.toml."""
    return ROOT / "localcloud.toml"
