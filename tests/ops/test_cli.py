import json
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ops.cli import main


@pytest.fixture
def bin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    return folder


def pulumi(folder: Path, *, prints: str = "", says: str = "", code: int = 0) -> None:
    script = folder / "pulumi"
    (folder / "out").write_text(prints)
    (folder / "err").write_text(says)
    tell = 'while read -r line; do echo "$line"; done'
    script.write_text(f"#!/bin/sh\n{tell} < {folder}/out\n{tell} < {folder}/err >&2\nexit {code}\n")
    script.chmod(script.stat().st_mode | stat.S_IEXEC)


def invoke(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def told(result: Result) -> str:
    return " ".join(result.stderr.split())


def test_without_the_pulumi_command_it_says_how_to_get_it(bin_folder: Path) -> None:
    result = invoke("status")
    assert result.exit_code == 2
    assert "pulumi command is not on PATH" in told(result)
    assert 'eval "$(make -s env)"' in told(result)


def test_a_stack_that_does_not_exist_is_a_mistake_of_the_user(bin_folder: Path) -> None:
    pulumi(bin_folder, says="error: no stack named 'prod' found\n", code=255)
    result = invoke("--stack", "prod", "status")
    assert result.exit_code == 2
    assert "stack prod: no stack named 'prod' found" in told(result)


def test_a_stack_that_is_not_up_says_what_brings_it_up(bin_folder: Path) -> None:
    pulumi(bin_folder, prints="{}\n")
    result = invoke("status")
    assert result.exit_code == 1
    assert "Run `pulumi up --stack local` first." in told(result)


@pytest.mark.parametrize(
    "command", [["status"], ["watch"], ["rollback", "--reason", "x", "--yes"], ["invoke", __file__]]
)
def test_a_cloud_that_does_not_answer_is_told_in_words(bin_folder: Path, command: list[str]) -> None:
    outputs = {
        "endpoint_name": "e", "region": "us-east-1", "journal_table": "t", "package_group": "g", "alerts_topic": "arn"
    }  # fmt: skip
    pulumi(bin_folder, prints=json.dumps(outputs) + "\n")
    result = invoke(*command)
    assert result.exit_code == 1
    assert "127.0.0.1:1" in told(result)
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["replay", "--from", "yesterday"], "--from"),
        (["replay", "--speed", "0"], "--speed"),
        (["replay", "--limit", "-1"], "--limit"),
        (["replay", "--from", "2013-05-01", "--to", "2013-04-01"], "--to 2013-04-01 is before --from 2013-05-01"),
        (["rollback"], "--reason"),
        (["invoke", "/no/such/file"], "/no/such/file"),
        (["watch", "--every", "0"], "--every"),
        (["deploy"], "deploy"),
    ],
)
def test_a_wrong_command_line_names_the_option_and_exits_with_2(words: list[str], names: str) -> None:
    result = invoke(*words)
    assert result.exit_code == 2
    assert names in told(result)
    assert "Traceback" not in result.output
