"""What all tests share."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from hypothesis import settings

from localcloud.testing import MODEL_SERVER

pytest_plugins = ["localcloud.testing.fixtures"]

# On a busy machine a slow example is no failure; the rest is hypothesis's own profile, the one for CI where CI is set.
settings.register_profile("patient", settings(settings.default, deadline=None))
settings.load_profile("patient")


@pytest.fixture(scope="session")
def cloud_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cloud whose `*-serving` images serve by served_model.py and train by trained_model.py; an hour is a minute.

    A processing job finds `python` as the one of the tests.
    """
    trainer = Path(__file__).parent / "sagemaker" / "trained_model.py"
    commands = {"command": [sys.executable, str(MODEL_SERVER), "serve"], "train": [sys.executable, str(trainer)]}
    commands["path"] = [str(Path(sys.executable).parent)]
    lines = ["time_scale = 60", "[[image]]", 'repository = "*-serving"']
    config = tmp_path_factory.mktemp("config") / "localcloud.toml"
    config.write_text("\n".join([*lines, *(f"{name} = {json.dumps(words)}" for name, words in commands.items())]))
    return config
