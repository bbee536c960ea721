import json
import socket
import stat
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from modelstack.cli.main import main
from modelstack.cli.options import Delay, Number, Whole
from modelstack.rollout.reason import Reason

ROOT = Path(__file__).resolve().parents[4]
COMMANDS = [
    ["status"],
    ["watch"],
    ["explain"],
    ["approve"],
    ["invoke", __file__],
    ["replay", "--limit", "1"],
    ["rollback", "--reason", "x", "--yes"],
    ["clear", "a2527f0cafcc"],
    ["skip-trial", "a2527f0cafcc", "--reason", "x"],
    ["retrain"],
    ["retrain", "start", "--reason", "x"],
]
OUTPUTS = (
    json.dumps(
        {"endpoint_name": "e", "region": "us-east-1", "journal_table": "t", "package_group": "g", "alerts_topic": "arn"}
    )
    + "\n"
)


@pytest.fixture
def bin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, aws_keys: None) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("PULUMI_BACKEND_URL", tmp_path.as_uri())
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    return folder


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
@pytest.mark.parametrize("words", [["--help"], ["retrain", "start", "--json"]])
def test_an_output_that_cannot_be_written_is_a_line_and_no_traceback(words: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "modelstack.cli.main", *words],
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (done.returncode, done.stderr) == (3, b"error: the output cannot be written: No space left on device\n")


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


@pytest.mark.parametrize(
    ("words", "part", "code"),
    [
        (["status", "--json"], "pulumi command is not on PATH", 3),
        (["watch", "--json", "--every", "fast"], "'fast' is not a number from 0.5 to 60", 2),
        (["explain", "--json", "--region", "eu-west-1"], "--region goes with --endpoint", 2),
        (["rollback", "--json"], "missing option '--reason'", 2),
        (["--json", "status"], "--json stands after the name of a command, as in: modelstack status --json", 2),
        (["--frob", "status", "--json"], "no such option '--frob'", 2),
    ],
)
def test_a_failure_with_json_is_an_object_on_standard_output(
    bin_folder: Path, words: list[str], part: str, code: int
) -> None:
    result = invoke(*words)
    document = json.loads(result.stdout)
    assert (result.exit_code, document["exit_code"], document.keys()) == (code, code, {"error", "hint", "exit_code"})
    assert part in document["error"]


@pytest.mark.parametrize("stack", ["local", "nope", "prod", "acme/shop/prod"])
def test_without_the_pulumi_command_only_the_local_stack_is_pointed_at_the_local_cloud(
    bin_folder: Path, stack: str
) -> None:
    result = invoke("--stack", stack, "status")
    assert result.exit_code == 3
    helps = 'eval "$(make -s env)"' if stack == "local" else "Install the Pulumi CLI, or add its folder to PATH."
    assert f"error: stack {stack}: the pulumi command is not on PATH" in told(result)
    assert helps in told(result)


@pytest.mark.parametrize("stack", ["../x", "local/../x", "a b", "", "a/b/c/d", "-x", "."])
def test_what_cannot_be_the_name_of_a_stack_is_refused_with_what_a_name_may_hold(bin_folder: Path, stack: str) -> None:
    pulumi(bin_folder, prints=OUTPUTS)
    result = invoke("status", f"--stack={stack}")
    assert result.exit_code == 2
    assert f"{stack!r} is not the name of a stack It holds letters, digits" in told(result)


def test_the_stack_may_be_named_before_the_command_or_after_it_and_the_last_word_counts(
    bin_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulumi(bin_folder, says="error: no stack named 'x' found\n", code=255)
    result = invoke("status", "--stack", "prod")
    assert (result.exit_code, "stack prod: no stack named 'x' found" in told(result)) == (3, True)
    assert "stack prod:" in told(invoke("--stack", "dev", "status", "--stack", "prod"))
    monkeypatch.setenv("MODELSTACK_STACK", "staging")
    assert "stack staging:" in told(invoke("status"))
    assert "stack prod:" in told(invoke("status", "--stack", "prod"))
    assert "stack prod:" in told(invoke("--stack", "prod", "status"))


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: words[0])
def test_a_shell_that_does_not_point_at_the_local_stack_is_told_what_to_type(
    bin_folder: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    pulumi(bin_folder, says="error: PULUMI_ACCESS_TOKEN must be set for login\n", code=255)
    monkeypatch.delenv("PULUMI_BACKEND_URL")
    monkeypatch.chdir(ROOT)
    result = invoke(*command)
    assert result.exit_code == 3
    assert told(result) == (
        'error: stack local: this shell does not point at the local cloud Type: eval "$(make -s env)"'
    )


def test_in_a_subfolder_it_is_told_with_the_projects_folder(bin_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PULUMI_BACKEND_URL")
    monkeypatch.chdir(ROOT / "docs" / "how-to")
    assert f'eval "$(make -C {ROOT} -s env)"' in told(invoke("status"))


def test_outside_a_project_a_command_says_so(bin_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = invoke("status")
    assert result.exit_code == 2
    assert told(result).startswith(f"error: {tmp_path} is not in a project: neither it nor a folder above it")


GONE = (
    "error: stack local is not up If `make down` has ended it, its predictions went with it: a new stack does not "
    "know them. Type: make up"
)


@pytest.mark.parametrize(
    ("words", "stack", "code", "said"),
    [
        (["status"], "local", 3, "error: stack local is not up Type: make up"),
        (
            *(["status"], "local-staging", 3),
            "error: stack local-staging is not up Type: pulumi stack init local-staging; "
            "pulumi up --stack local-staging",
        ),
        (["trace", "order-17"], "local", 3, GONE),
        (["status"], "", 3, "error: stack local exists but is not up Type: make up"),
    ],
)
def test_a_local_stack_that_is_gone_or_not_up_says_what_brings_it_up(
    bin_folder: Path, words: list[str], stack: str, code: int, said: str
) -> None:
    if stack:
        pulumi(bin_folder, says=f"error: no stack named '{stack}' found\n", code=255)
    else:
        pulumi(bin_folder, prints="{}\n")
    result = invoke("--stack", stack or "local", *words)
    assert (result.exit_code, told(result)) == (code, said)


def test_a_stack_elsewhere_without_a_backend_is_told_to_log_in(
    bin_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulumi(bin_folder, says="error: PULUMI_ACCESS_TOKEN must be set for login\n", code=255)
    monkeypatch.delenv("PULUMI_BACKEND_URL")
    assert told(invoke("--stack", "prod", "status")) == (
        "error: stack prod: no Pulumi backend is chosen Type `pulumi login`; see docs/how-to/aws.md."
    )


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: words[0])
def test_a_local_cloud_that_is_down_is_told_with_what_starts_it(bin_folder: Path, command: list[str]) -> None:
    pulumi(bin_folder, prints=OUTPUTS)
    result = invoke(*command)
    assert result.exit_code == 3
    assert "the local cloud does not answer at http://127.0.0.1:1" in told(result)
    assert "Type `make up`" in told(result)
    assert "Traceback" not in result.output


def test_a_request_that_sagemaker_would_not_take_is_told_with_its_size_and_the_limit(
    bin_folder: Path, tmp_path: Path
) -> None:
    pulumi(bin_folder, prints=OUTPUTS)
    (tmp_path / "large.json").write_bytes(b"1" * 31_000_000)
    result = invoke("invoke", str(tmp_path / "large.json"))
    assert result.exit_code == 2
    assert "the request has 31,000,000 bytes (29.6 MB), and SageMaker takes at most 26,214,400 (25 MB)" in told(result)


@pytest.mark.slow
def test_a_cloud_that_hangs_up_is_not_taken_for_one_that_is_down(
    bin_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulumi(bin_folder, prints=OUTPUTS)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        threading.Thread(target=hang_up, args=(server,), daemon=True).start()
        result = invoke("invoke", __file__)
    assert result.exit_code == 3
    assert "does not answer" not in told(result)
    assert "took the request and gave no whole answer: Connection was closed" in told(result)
    assert ".modelstack/cloud/server.log" in told(result)


def hang_up(server: socket.socket) -> None:
    with suppress(OSError):
        while True:
            connection, _ = server.accept()
            connection.recv(1 << 20)
            connection.close()


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["--region", "us-east-1", "status"], "--region goes with --endpoint"),
        (["replay", "--from", "yesterday"], "--from"),
        (["replay", "--from", "2013-13-01"], "'2013-13-01' is not a day. Give one as YYYY-MM-DD"),
        (["replay", "--speed", "0"], "--speed"),
        (["replay", "--limit", "-1"], "--limit"),
        (["replay", "--limit", "1.5"], "'1.5' is not a whole number of at least 1"),
        (["replay", "--rate", "5", "--speed", "5"], "--rate and --speed both say how fast"),
        (["console", "--port", "99999"], "from 0 to 65,535"),
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


NUMBERS = [
    (command.name, option.opts[-1])
    for command in main.commands.values()
    for option in command.params
    if isinstance(option.type, click.IntRange | click.FloatRange | Delay)
]


@pytest.mark.parametrize("given", ["nan", "inf", "-inf", "NaN", "infinity"])
@pytest.mark.parametrize(("command", "option"), NUMBERS)
def test_no_option_takes_what_is_no_number(command: str, option: str, given: str) -> None:
    result = invoke(command, f"{option}={given}")
    assert result.exit_code == 2
    assert option in told(result)
    assert any(words in told(result) for words in ("number of at least", "number from")), told(result)


def test_every_option_that_takes_a_number_takes_ours() -> None:
    types = [option.type for command in main.commands.values() for option in command.params]
    assert not [item for item in types if item in {click.FLOAT, click.INT}]
    assert all(
        isinstance(item, Number | Whole) for item in types if isinstance(item, click.IntRange | click.FloatRange)
    )
    assert len(NUMBERS) >= 8


@pytest.mark.parametrize("reason", ["", "  ", "\t\n"])
@pytest.mark.parametrize(
    "words",
    [["approve"], ["rollback", "--yes"], ["skip-trial", "a2527f0cafcc"], ["retrain", "start"]],
    ids=lambda w: w[0],
)
def test_a_reason_that_is_blank_is_refused_before_anything_is_done(
    bin_folder: Path, words: list[str], reason: str
) -> None:
    pulumi(bin_folder, prints=OUTPUTS)
    result = invoke(*words, "--reason", reason)
    assert (result.exit_code, "it is blank. Say why" in told(result)) == (2, True)


def test_a_reason_that_is_longer_than_what_is_kept_is_refused(bin_folder: Path) -> None:
    result = invoke("rollback", "--yes", "--reason", "x" * 60_000)
    assert (result.exit_code, "At most 2,000 are kept" in told(result)) == (2, True)
    assert len(Reason("person", "ada", "x" * 60_000).text) < 2100, "whoever gives it"


def test_ctrl_c_leaves_a_command_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(stack: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("modelstack.cli.target_options.resolve", interrupted)
    result = invoke("watch")
    assert (result.exit_code, result.output) == (130, "")
