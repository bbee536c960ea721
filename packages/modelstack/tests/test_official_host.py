"""The environment that set-up makes has what the official CLI's Python host asks of it, before a program starts.

Our own host stands beside the engine that set-up builds, and asks less. Users of AWS have the official one.

Source: sdk/python/cmd/pulumi-language-python/main.go and sdk/python/toolchain/pip.go of pulumi/pulumi; its functions
are named below.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import ROOT

pytestmark = pytest.mark.e2e

MINIMUM = (3, 7)  # minimumSupportedPythonVersion
# readAllPulumiPluginJSONPaths: a package's plugin is told by a file in the module of its distribution's name.
PLUGIN_OF = """
import importlib.metadata, importlib.util, json, sys
from pathlib import Path
spec = importlib.util.find_spec(importlib.metadata.distribution(sys.argv[1]).metadata["Name"].replace("-", "_"))
print((Path(spec.submodule_search_locations[0]) / "pulumi-plugin.json").read_text())
"""


@pytest.fixture(scope="module")
def environment() -> Path:
    """The virtual environment that Pulumi.yaml names; without an option `toolchain` the host takes pip."""
    runtime = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["runtime"]
    assert runtime == {"name": "python", "options": {"virtualenv": ".venv"}}
    return ROOT / runtime["options"]["virtualenv"]


def asked(environment: Path, *words: str) -> str:
    """What its Python answers, run as the host runs it: ActivateVirtualEnv."""
    kept = {name: value for name, value in os.environ.items() if name not in {"PYTHONHOME", "VIRTUAL_ENV"}}
    active = {"PATH": f"{environment}/bin{os.pathsep}{kept['PATH']}", "VIRTUAL_ENV": str(environment)}
    ran = subprocess.run(
        [environment / "bin" / "python", *words], env={**kept, **active}, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def packages(environment: Path) -> dict[str, str]:
    """GetRequiredPackages and GetProgramDependencies: ListPackages, which every preview and update calls."""
    found: list[dict[str, Any]] = json.loads(asked(environment, "-m", "pip", "list", "--format", "json"))
    return {item["name"].replace("_", "-").lower(): item["version"] for item in found}


def test_the_environment_has_a_python_that_tells_its_version(environment: Path) -> None:
    """IsVirtualEnv, and validateVersion, which parses three numbers."""
    assert (environment / "bin" / "python").is_file()
    major, minor, _ = map(int, asked(environment, "--version").removeprefix("Python ").split("."))
    assert (major, minor) >= MINIMUM


def test_pip_lists_the_packages_and_those_that_nothing_requires(environment: Path, packages: dict[str, str]) -> None:
    assert {"pip", "pulumi", "pulumi-aws"} <= packages.keys()
    asked(environment, "-m", "pip", "list", "--format", "json", "--not-required")  # `pulumi about`


def test_each_package_of_pulumi_says_which_plugin_it_needs(environment: Path, packages: dict[str, str]) -> None:
    for name in packages.keys() - {"pulumi"}:
        if name.startswith("pulumi-"):
            plugin = json.loads(asked(environment, "-c", PLUGIN_OF, name))
            if name == "pulumi-modelstack":
                assert plugin == {"resource": False}, "else the CLI looks for a plugin of that name"
                continue
            assert plugin["resource"] is True
            assert (plugin["name"], plugin["version"]) == (name.removeprefix("pulumi-"), packages[name])


def test_what_runs_the_program_and_the_dynamic_providers_is_there(environment: Path) -> None:
    """pulumi-language-python-exec imports the SDK; pulumi-resource-pulumi-python runs `python -u -m pulumi.dynamic`."""
    asked(environment, "-c", "import pulumi, pulumi.runtime as r; r.get_config_secret_keys_env, r.set_all_config")
    asked(environment, "-c", "import importlib.util as u; assert u.find_spec('pulumi.dynamic.__main__')")
