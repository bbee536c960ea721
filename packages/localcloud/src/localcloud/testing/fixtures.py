"""Pytest's fixtures for tests on real clouds."""

from __future__ import annotations

import functools
import gc
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from botocore.exceptions import BotoCoreError
from botocore.loaders import JSONFileLoader

from localcloud.testing import Cloud


def pytest_configure() -> None:
    """Hear signals, also where the tests run behind a script's `&` or a `nohup`.

    The tests send SIGINT and SIGHUP, and `sh` traps none that was ignored when it began.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    # Each session of boto3 would parse the models of its services anew, which takes longer than most tests.
    JSONFileLoader.load_file = staticmethod(functools.cache(JSONFileLoader().load_file))
    gc.disable()  # until all is imported, which is kept anyway


def pytest_collection_finish() -> None:
    """Leave what was imported and collected out of each later search for garbage: it takes a tenth of a run."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep in the session's own folder what processes leave that the tests kill."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("scratch")))
        patch.setattr(tempfile, "tempdir", None)
        yield


@pytest.fixture(scope="session")
def cloud_config() -> Path | None:
    """The localcloud.toml of clouds that are given no other; a project's conftest.py names its own."""
    return None


_made: list[Cloud] = []


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> None:
    """Let a failure for want of a connection say what became of the clouds."""
    if call.excinfo is not None and isinstance(call.excinfo.value, (OSError, BotoCoreError)):
        for cloud in _made:
            call.excinfo.value.add_note(cloud.last_words())


@pytest.fixture(scope="session")
def new_cloud(tmp_path_factory: pytest.TempPathFactory, cloud_config: Path | None) -> Iterator[Callable[..., Cloud]]:
    """Makes clouds that are not started yet, each with a state folder of its own; all end with the session."""

    def make(config: Path | None = cloud_config) -> Cloud:
        _made.append(Cloud(tmp_path_factory.mktemp("cloud"), config))
        return _made[-1]

    yield make
    for cloud in _made:
        cloud.stop()


@pytest.fixture(scope="session")
def cloud(new_cloud: Callable[..., Cloud]) -> Cloud:
    """One running cloud for the whole session. Tests share it, so each takes names of its own."""
    cloud = new_cloud()
    cloud.start()
    return cloud
