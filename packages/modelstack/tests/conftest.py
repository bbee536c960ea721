"""Fixtures that every room may use."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

import pytest
from botocore import loaders, session
from hypothesis import settings

from modelstack.pipeline import archive
from modelstack.pipeline.build import SealedPackage, build
from modelstack.pipeline.recipe import recipe
from tests.machine import NEEDS
from tests.small import SMALL

pytest_plugins = ["localcloud.testing.fixtures"]

ROOT = Path(__file__).resolve().parents[3]

# The same examples each time, and as many as a check of minutes has time for; `--hypothesis-profile=thorough` looks for
# new ones. On a busy machine a slow example is no failure.
settings.register_profile("quick", max_examples=25, derandomize=True, database=None, deadline=None)
settings.register_profile("thorough", max_examples=1000, derandomize=False, deadline=None)
settings.load_profile("quick")

LONG = (
    *("test_trials_story", "test_pipeline_story", "test_container", "test_release_story", "test_year"),
    *("test_mlflow_story", "test_own_model", "test_on_envoy", "test_promotion_story"),
    *("test_monitoring_story", "test_genuine_provider", "test_new_project", "test_upgrade"),
)
"""Files that take longest, in this order."""

APART = {"test_build", "test_package"}
"""Files whose tests share nothing and take long."""

TRAINED_OR_STARTED = {"champion", "cloud", "new_cloud", "sealed", "story"}
"""Fixtures that train a model or start a cloud: what needs one is an end-to-end test."""


def pytest_configure() -> None:
    """Read the models of AWS's services once: each session of boto3 would do so anew, longer than most tests take."""
    session.create_loader = functools.cache(loaders.create_loader)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what trains, starts or needs something, before marks are selected; the longest files come first."""
    for item in items:
        call = getattr(item, "callspec", None)
        values = call.params.keys() if call else set[str]()  # of parameters, which may bear a fixture's name
        if TRAINED_OR_STARTED & {*getattr(item, "fixturenames", ())} - values:
            item.add_marker("e2e")
        elif item.get_closest_marker("needs"):
            item.add_marker("slow")
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    """When a test has its turn: what takes long comes first, so that nobody waits for it at the end."""
    if item.path.stem in LONG:
        return LONG.index(item.path.stem)
    return len(LONG) + (0 if item.get_closest_marker("e2e") else 1 if item.get_closest_marker("slow") else 2)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep the tests of a file together, which often share something, but for those that need not be."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return nodeid if Path(file).stem in APART else file

    return Scheduling(config, log)


@functools.cache
def lacking(need: str) -> str:
    """Why what some tests need is not there; empty when it is."""
    return NEEDS[need].lacking()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Say of a test that it cannot be run here; in CI it fails."""
    for mark in item.iter_markers("needs"):
        if why := lacking(mark.args[0]):
            fails = os.environ.get("CI") and not NEEDS[mark.args[0]].asked
            (pytest.fail if fails else pytest.skip)(f"not tested here: {why}")


@pytest.fixture(scope="session")
def sealed() -> SealedPackage:
    """A real model on two weeks of flights, trained once on this machine."""
    return build(ROOT, recipe(ROOT, SMALL))


@pytest.fixture
def unpacked(sealed: SealedPackage, tmp_path: Path) -> Path:
    """Its package, unpacked into a folder of the test's own."""
    folder = tmp_path / "model"
    archive.unpack(sealed.path, folder)
    return folder


@pytest.fixture(scope="session")
def cloud_config() -> Path:
    """The project's own localcloud.toml."""
    return ROOT / "localcloud.toml"
