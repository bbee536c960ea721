"""Programs run as they do under the official host, by the real engine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ROOT, Project, yaml_for

pytestmark = pytest.mark.e2e

DOUBLE = """
import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

class DoubleProvider(ResourceProvider):
    def create(self, props):
        return CreateResult("double", {**props, "twice": 2 * props["number"]})

    def diff(self, _id, old, new):
        return DiffResult(changes=old["number"] != new["number"])

    def update(self, _id, old, new):
        return UpdateResult({**new, "twice": 2 * new["number"]})

    def read(self, id_, props):
        return ReadResult(id_, props)

    def delete(self, _id, _props):
        pass

class Double(Resource):
    twice: pulumi.Output[int]

    def __init__(self, name, number):
        super().__init__(DoubleProvider(), name, {"number": number, "twice": None})
"""
PROGRAM = """
import pulumi
from double import Double

config = pulumi.Config()
pulumi.export("twice", Double("it", config.require_int("number")).twice)
pulumi.export("token", config.require_secret("token"))
pulumi.export("preview", pulumi.runtime.is_dry_run())
"""


def test_a_dynamic_resource_lives_from_preview_to_destroy(project: Project) -> None:
    project.write(main=PROGRAM, double=DOUBLE)
    project.must("config", "set", "number", "4")
    project.must("config", "set", "--secret", "token", "s3cret")

    first = project.must("up", "--yes")
    assert "+ 2 to create" in first  # the stack itself and one resource
    assert "+ 2 created" in first
    assert project.outputs() == {"twice": 8, "token": "[secret]", "preview": False}
    assert project.outputs("--show-secrets")["token"] == "s3cret"

    again = project.must("up", "--yes", "--skip-preview")
    assert "2 unchanged" in again
    project.must("config", "set", "number", "5")
    assert "~ 1 updated" in project.must("up", "--yes", "--skip-preview")
    assert project.outputs()["twice"] == 10
    assert "2 unchanged" in project.must("refresh", "--yes", "--skip-preview")
    gone = project.must("destroy", "--yes", "--skip-preview")
    assert "- 2 deleted" in gone
    for output in (first, again, gone):
        assert "warning" not in output.lower()


def test_secrets_need_the_passphrase(project: Project) -> None:
    project.write(main=PROGRAM, double=DOUBLE)
    project.must("config", "set", "--secret", "token", "s3cret")

    assert "s3cret" not in (project.folder / "Pulumi.test.yaml").read_text()
    project.environ["PULUMI_CONFIG_PASSPHRASE"] = "wrong"
    code, output = project.run("preview")
    assert code != 0
    assert "incorrect passphrase" in output


def test_an_exception_is_shown_from_the_programs_own_line_on(project: Project) -> None:
    project.write(main="import broken\n\nbroken.divide(3)\n", broken="def divide(x):\n    return x / 0\n")

    code, output = project.run("preview")

    assert code != 0
    assert "Program failed with an unhandled exception" in output
    assert 'broken.py", line 2, in divide' in output
    assert "ZeroDivisionError: division by zero" in output
    first_frame = next(line for line in output.splitlines() if 'File "' in line)
    assert "__main__.py" in first_frame and "line 3" in first_frame
    assert "pulumi_language_host" not in output
    assert output.count("ZeroDivisionError") == 1


def test_a_syntax_error_names_its_file(project: Project) -> None:
    project.write(main="import pulumi\ndef broken(:\n")

    code, output = project.run("preview")

    assert code != 0
    assert "SyntaxError" in output and "line 2" in output


def test_a_missing_setting_is_one_sentence_without_a_trace(project: Project) -> None:
    project.write(main=PROGRAM, double=DOUBLE)

    code, output = project.run("preview")

    assert code != 0
    assert "Missing required configuration variable 'sample:number'" in output
    assert "Traceback" not in output


@pytest.mark.parametrize(("exit_with", "fails"), [("0", False), ("None", False), ("3", True), ("'no'", True)])
def test_sys_exit_decides_as_it_does_for_a_script(project: Project, exit_with: str, fails: bool) -> None:
    project.write(main=f"import sys\nsys.exit({exit_with})\n")

    code, output = project.run("preview")

    assert (code != 0) is fails, output
    assert ("non-zero exit code" in output) is fails


def test_an_async_program_may_await_print_and_return_and_has_the_commands_of_its_environment(project: Project) -> None:
    project.write(
        main="import asyncio\nimport shutil\nimport sys\nimport pulumi\n\n"
        "async def main():\n    await asyncio.sleep(0)\n"
        "    print('to stdout')\n    print('to stderr', file=sys.stderr)\n"
        "    return {'answer': 42, 'python': shutil.which('python')}\n\npulumi.run(main)\n"
    )

    output = project.must("up", "--yes", "--skip-preview")

    assert "to stdout" in output and "to stderr" in output
    assert project.outputs() == {"answer": 42, "python": str(ROOT / ".venv" / "bin" / "python")}


def test_an_environment_that_only_the_options_tell_runs_the_program(project: Project, tmp_path: Path) -> None:
    # A space before the colon is YAML that the launcher's first guess does not read: the host starts elsewhere.
    other = tmp_path / "other"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", other], check=True)
    packages = next(Path(ROOT, ".venv").glob("lib/python*/site-packages"))
    (next(other.glob("lib/python*/site-packages")) / "shared.pth").write_text(f"{packages}\n")
    (project.folder / "Pulumi.yaml").write_text(yaml_for(other).replace("virtualenv:", "virtualenv :"))
    project.environ["PATH"] = f"{ROOT / '.venv' / 'bin'}:{project.environ['PATH']}"
    project.write(main="import sys\nimport pulumi\n\npulumi.export('prefix', sys.prefix)\n")

    project.must("up", "--yes", "--skip-preview")
    assert project.outputs() == {"prefix": str(other)}

    project.write(main="raise ValueError('elsewhere')\n")
    code, output = project.run("preview")
    assert code != 0
    assert output.count("ValueError: elsewhere") == 1


def test_an_environment_that_is_not_there_is_named_with_what_to_do(project: Project) -> None:
    (project.folder / "Pulumi.yaml").write_text(yaml_for(Path("missing")))
    project.environ["PATH"] = f"{ROOT / '.venv' / 'bin'}:{project.environ['PATH']}"
    project.write(main="")

    code, output = project.run("preview")

    assert code != 0
    assert "virtualenv in Pulumi.yaml is 'missing'" in output
    assert "pulumi install" in output


def test_an_environment_without_the_sdk_is_told_what_it_lacks(project: Project, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    (project.folder / "Pulumi.yaml").write_text(yaml_for(tmp_path / "bare"))
    project.write(main="")

    code, output = project.run("preview")

    assert code != 0
    assert "The Pulumi SDK is not installed in" in output
    assert "Traceback" not in output


def test_about_names_the_python_and_the_plugins_that_the_environment_needs(project: Project) -> None:
    project.write(main="")

    output = project.must("about", "--json")

    assert str(ROOT / ".venv" / "bin" / "python") in output
    assert '"aws"' in output
