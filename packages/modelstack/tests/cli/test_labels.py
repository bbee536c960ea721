"""Labels as a person sends them, and as a replay sends what it knows, on moto's S3."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import CliRunner

from model.data import Flight
from modelstack.cli import labels as ops_labels
from modelstack.cli.commands import sending
from modelstack.cli.errors import OperatorError
from modelstack.cli.labels import LateLabels, read, upload
from modelstack.cli.main import main
from modelstack.cli.options import Delay
from modelstack.cli.replay import Pace, Report, Sender, run
from modelstack.cli.target import Target
from tests.cli.test_replay import replayed
from tests.platforms.aws.mocked import mocked_aws

NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)
LINE = b'{"inference_id": "order-17", "label": true}'


class Stack:
    def __init__(self) -> None:
        self.target = Target("local", "e", "us-east-1", {"artifact_bucket": "bucket"})
        boto3.client("s3", "us-east-1").create_bucket(Bucket="bucket")

    def files(self) -> dict[str, list[dict[str, Any]]]:
        s3 = boto3.client("s3", "us-east-1")
        keys = [item["Key"] for item in s3.list_objects_v2(Bucket="bucket").get("Contents", [])]
        bodies = {key: s3.get_object(Bucket="bucket", Key=key)["Body"].read() for key in keys}
        return {key: [json.loads(line) for line in body.splitlines()] for key, body in bodies.items()}

    def labels(self) -> dict[str, Any]:
        return {line["inference_id"]: line["label"] for lines in self.files().values() for line in lines}


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    with mocked_aws(monkeypatch):
        yield Stack()


def flight(number: int, late: bool | None) -> Flight:
    at = NOON + timedelta(minutes=number)
    return Flight(f"f{number}", at, {"carrier": "UA"}, label=late, label_at=at if late is not None else None)


class Runtime:
    """Answers every request but those of flight f1."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    def invoke_endpoint(self, **asked: Any) -> dict[str, Any]:
        self.ids.append(asked["InferenceId"])
        if asked["InferenceId"].startswith("f1."):
            from botocore.exceptions import ReadTimeoutError

            raise ReadTimeoutError(endpoint_url="e")
        return {"Body": io.BytesIO(b"{}"), "InvokedProductionVariant": "v-a"}


def test_the_same_lines_are_one_file_and_many_lines_are_several(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ops_labels, "LINES_PER_FILE", 2)
    lines = [json.dumps({"inference_id": f"o{n}", "label": n % 2 == 0}).encode() for n in range(5)]
    first = upload(stack.target, lines)
    assert (len(first), upload(stack.target, lines)) == (3, first)
    assert stack.labels() == {f"o{n}": n % 2 == 0 for n in range(5)}
    assert all(key.startswith(f"labels/{datetime.now(UTC):%Y/%m/%d}/") for key in stack.files())


def test_a_file_with_a_line_that_is_no_label_is_refused_whole_and_each_line_told() -> None:
    with pytest.raises(OperatorError) as caught:
        read([LINE, b"\n", b"{", *[b'{"inference_id": "x"}'] * 7])
    text = str(caught.value)
    assert "no label was sent" in text
    assert "line 3: " in text
    assert "line 4: label: missing" in text
    assert "and 3 more" in text
    with pytest.raises(OperatorError, match="holds no labels"):
        read([b"\n", b"  "])


def test_the_command_tells_where_labels_went_and_sends_nothing_of_a_file_with_a_wrong_line(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelstack.cli.target_options.resolve", lambda name: stack.target)
    done = CliRunner().invoke(main, ["labels", "-"], input=LINE + b"\n")
    assert done.exit_code == 0, done.output
    assert "s3://bucket/labels/" in done.output
    assert "1 labels sent" in done.output
    assert stack.labels() == {"order-17": True}
    done = CliRunner().invoke(main, ["labels", "-"], input=LINE.replace(b"17", b"18") + b"\nnonsense\n")
    assert done.exit_code == 2
    assert stack.labels() == {"order-17": True}


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Runtime:
    made, real = Runtime(), Target.client
    monkeypatch.setattr(
        Target,
        "client",
        lambda self, name, config=None: made if name == "sagemaker-runtime" else real(self, name, config),
    )
    return made


@pytest.mark.slow
def test_a_replay_sends_the_truth_of_what_was_answered_and_is_known(stack: Stack, runtime: Runtime) -> None:
    source = [flight(0, True), flight(1, True), flight(2, None), flight(3, False)]
    with LateLabels(stack.target, after=0.2) as late:
        report = run(stack.target, source, Pace(rate=1000), labels=late)
    assert (report.sent, report.failed, late.sent, late.failure) == (4, 1, 2, None)
    by_flight = {inference_id.partition(".")[0]: inference_id for inference_id in runtime.ids}
    assert stack.labels() == {by_flight["f0"]: True, by_flight["f3"]: False}


def test_a_replay_says_how_late_each_label_is_known_at_its_speed(stack: Stack, runtime: Runtime) -> None:
    class Noted(LateLabels):
        def add(self, inference_id: str, label: Any, lateness: float = 0.0) -> None:
            noted.append((inference_id.partition(".")[0], lateness))

    noted: list[tuple[str, float]] = []
    source = [Flight(f"f{n}", NOON, {}, label=True, label_at=NOON + timedelta(hours=n)) for n in (2, 3)]
    run(stack.target, source, Pace(rate=1000, speed=3600), labels=Noted(stack.target, after=None))
    assert sorted(noted) == [("f2", 2.0), ("f3", 3.0)]


def test_labels_come_in_the_order_in_which_they_are_known(stack: Stack) -> None:
    late = LateLabels(stack.target, after=None)
    for name, seconds in (("last", 7200), ("first", -2), ("second", -1)):
        late.add(name, True, seconds)
    assert [json.loads(line)["inference_id"] for line in late._due()] == ["first", "second"]
    late._hurry.set()
    assert [json.loads(line)["inference_id"] for line in late._due()] == ["last"]


def test_a_flight_that_is_replayed_again_is_another_request(stack: Stack, runtime: Runtime) -> None:
    for _ in range(2):
        Sender(stack.target, Report(), Pace()).send(flight(7, True))
    first, second = runtime.ids
    assert first != second
    assert first.partition(".")[0] == second.partition(".")[0] == "f7"


def test_a_replay_that_is_told_to_stop_sends_the_labels_that_wait(
    stack: Stack, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(since: str | None, until: str | None) -> Iterator[Flight]:
        yield flight(0, True)
        while not runtime.ids:
            time.sleep(0.01)
        raise KeyboardInterrupt

    done = replayed(monkeypatch, stopped, "--rate", "1000", "--labels-after", "3600", target=stack.target)
    assert (done.exit_code, stack.labels()) == (0, {runtime.ids[0]: True}), done.output
    assert "1 labels sent\n" in done.stderr


@pytest.mark.slow
def test_labels_that_could_not_be_sent_go_with_the_next_ones(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    down = [True, True]
    with monkeypatch.context() as patch, LateLabels(stack.target, after=0) as late:
        patch.setattr(ops_labels, "_EVERY_SECONDS", 0.01)

        def lazy(target: Target, lines: list[bytes]) -> list[str]:
            if lines and down:
                down.pop()
                raise OperatorError("the bucket does not answer")
            return upload(target, lines)

        patch.setattr(ops_labels, "upload", lazy)
        late.add("x", True)
        while down:
            time.sleep(0.01)
        late.add("y", False)
    assert (late.sent, late.failure, late.unsent, stack.labels()) == (2, None, [], {"x": True, "y": False})


@pytest.mark.slow
def test_labels_of_a_replay_that_cannot_be_sent_lie_in_a_file_that_can(
    stack: Stack, runtime: Runtime, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    nowhere = Target("local", "e", "us-east-1", {"artifact_bucket": "no-such-bucket"})
    monkeypatch.setattr(sending, "project_root", lambda: tmp_path)
    flights = [flight(0, True), flight(3, False)]
    done = replayed(monkeypatch, lambda *_: iter(flights), "--rate", "1000", "--labels-after", "0", target=nowhere)
    assert (done.exit_code, "2 labels were not sent: " in done.stderr) == (3, True), done.output
    (path,) = (tmp_path / ".modelstack").iterdir()
    assert f"modelstack labels {path}" in done.stderr.replace("\n", " ")
    assert upload(stack.target, read(path.read_bytes().splitlines()))
    assert stack.labels() == {runtime.ids[0]: True, runtime.ids[1]: False}


@pytest.mark.parametrize("given", ["soon", "-1", "nan", "inf"])
def test_a_delay_is_a_number_of_seconds_or_none(given: str) -> None:
    done = CliRunner().invoke(main, ["replay", "--labels-after", given])
    assert done.exit_code == 2
    assert f"{given!r} is not a number of at least 0; allowed are seconds, known, or none" in done.output
    assert Delay().convert("none", None, None) == "none"
    assert Delay().convert("known", None, None) == "known"
    assert Delay().convert("2.5", None, None) == 2.5
