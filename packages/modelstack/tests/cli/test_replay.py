import json
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from unittest.mock import Mock

import pytest
from click.testing import CliRunner, Result

from model import data
from model.data import Flight
from modelstack.cli import replay_progress
from modelstack.cli.commands import sending
from modelstack.cli.errors import OperatorError
from modelstack.cli.main import main
from modelstack.cli.replay import Pace, Report, events, run
from modelstack.cli.replay_progress import Mark
from modelstack.cli.target import Target
from modelstack.services.invoke import Request, Response
from tests.services.memory import MemoryInvoke

NOON = datetime(2013, 3, 1, 12, tzinfo=UTC)


def flight(number: int) -> Flight:
    return Flight(f"f{number}", NOON + timedelta(minutes=number), {"carrier": "UA"}, label=None, label_at=None)


def model(request: Request) -> tuple[int, bytes, float]:
    """Answers; every fourth flight meets a model that fails."""
    number = int(request.inference_id.partition(".")[0][1:])
    return (500, b"boom", 0.0) if number % 4 == 3 else (200, b'{"predictions": []}', 0.0)


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> MemoryInvoke:
    made = MemoryInvoke({"v-a": model})
    monkeypatch.setattr("modelstack.cli.replay.platform_of", lambda _: Mock(invoke=lambda _: made))
    return made


TARGET = Target("local", "flight-delay-local", "us-east-1", {})


def test_each_flight_is_sent_once_and_failures_are_counted_with_their_own_words(endpoint: MemoryInvoke) -> None:
    report = run(TARGET, [flight(n) for n in range(40)], Pace(rate=400))
    assert sorted(one.inference_id.partition(".")[0] for one in endpoint.sent) == sorted(f"f{n}" for n in range(40))
    assert report.sent == 40
    assert report.failed == 10
    assert report.answers == {"200": 30, "500": 10}
    assert report.variants == {"v-a": 30}
    assert len(report.first_failures) == 3
    assert all(text.endswith(": the model answered 500: boom") for text in report.first_failures), "once, in its words"
    assert json.loads(endpoint.sent[0].body) == {"instances": [{"carrier": "UA"}]}


def test_a_replay_that_came_to_the_end_of_the_data_tells_the_last_flights_time(endpoint: MemoryInvoke) -> None:
    report = run(TARGET, [flight(n) for n in range(3)], Pace(rate=1000))
    assert (report.ended, report.last) == (True, NOON + timedelta(minutes=2))


def test_a_replay_that_was_limited_or_out_of_time_did_not_come_to_the_end_of_the_data(endpoint: MemoryInvoke) -> None:
    limited = run(TARGET, (flight(n) for n in range(9)), Pace(rate=1000), limit=2)
    assert (limited.sent, limited.ended) == (2, False)
    assert run(TARGET, (flight(n) for n in range(9)), Pace(rate=10), seconds=0.05).ended is False


def test_a_stopped_replay_counts_what_was_under_way(endpoint: MemoryInvoke) -> None:
    stop = threading.Event()
    reports: list[Report] = []
    source = (flight(n) for n in range(100_000))
    thread = threading.Thread(target=lambda: reports.append(run(TARGET, source, Pace(rate=100), stop=stop)))
    thread.start()
    while len(endpoint.sent) < 5:
        time.sleep(0.01)
    stop.set()
    thread.join(timeout=30)
    assert reports[0].sent == len(endpoint.sent)


def test_a_stopped_replay_sends_nothing_more_of_what_waits_behind_a_slow_endpoint(
    endpoint: MemoryInvoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    released, stop = threading.Event(), threading.Event()

    class Pool(ThreadPoolExecutor):
        """Lets the endpoint answer only when the replay has said what becomes of the requests that wait."""

        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
            super().shutdown(wait=False, cancel_futures=cancel_futures)
            released.set()
            super().shutdown(wait=wait)

    def send_late(request: Request) -> Response:
        released.wait(60)
        return send(request)

    def source() -> Iterator[Flight]:
        yield from (flight(4 * n) for n in range(100))
        stop.set()
        yield flight(0)

    monkeypatch.setattr("modelstack.cli.replay.ThreadPoolExecutor", Pool)
    send = endpoint.send
    monkeypatch.setattr(endpoint, "send", send_late)
    report = run(TARGET, source(), Pace(rate=10_000), stop=stop)
    assert report.failed == 0
    assert 0 < report.sent <= 16


@pytest.mark.usefixtures("aws_keys")
def test_nothing_that_answers_is_a_failure_and_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    report = run(TARGET, [flight(0)], Pace(rate=10))
    assert (report.sent, report.failed) == (1, 1)
    assert report.answers == {"EndpointConnectionError": 1}


def test_events_keep_their_distances_divided_by_the_speed_unless_a_rate_is_given() -> None:
    assert Pace(speed=60).due(5, NOON + timedelta(minutes=3), NOON) == 3.0
    assert Pace(rate=20).due(10, NOON + timedelta(days=300), NOON) == 0.5


def test_quantiles_are_of_the_latencies_seen() -> None:
    assert Report(latencies_ms=[float(n) for n in range(1, 101)]).quantile(0.99) == 100.0
    assert Report().quantile(0.5) == 0.0


def test_a_label_is_as_late_as_the_event_says_at_the_speed_of_the_events() -> None:
    landed = Flight("f0", NOON, {}, label=True, label_at=NOON + timedelta(hours=2))
    assert Pace(speed=3600).lateness(landed) == 2.0
    assert Pace(speed=3600).lateness(flight(0)) == 0.0


@dataclass(frozen=True)
class Wine:
    """An event of a model whose data has no time."""

    id: str = "w1"
    instance: Mapping[str, float] = field(default_factory=dict)
    label: str = "third"
    event_time: None = None
    label_at: None = None


def test_each_request_tells_the_time_of_its_event(endpoint: MemoryInvoke) -> None:
    run(TARGET, [flight(1)], Pace(rate=1000))
    assert [one.event_time for one in endpoint.sent] == ["2013-03-01T12:01:00+00:00"]
    run(TARGET, [Wine("w2")], Pace(rate=1000))
    assert endpoint.sent[1].event_time == ""


def test_events_without_a_time_are_sent_at_a_rate_and_refused_at_a_speed(endpoint: MemoryInvoke) -> None:
    source = [Wine(f"w{n}") for n in (1, 2, 4)]
    report = run(TARGET, source, Pace(rate=1000))
    assert (report.sent, report.failed, report.ended, report.last) == (3, 0, True, None)
    with pytest.raises(OperatorError, match="have no time") as refused:
        run(TARGET, source, Pace())
    assert refused.value.hint == "Give --rate, as in --rate 25."
    assert len(endpoint.sent) == 3


def test_days_of_events_without_a_time_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "replay", lambda since, until: iter([Wine()]))
    assert list(events()) == [Wine()]
    with pytest.raises(OperatorError, match="--from and --to mean nothing"):
        events("2013-03-01")


@pytest.mark.slow
def test_events_are_the_models_in_order_of_their_time() -> None:
    times = [item.event_time for item in events("2013-03-01", "2013-03-02")]
    assert times == sorted(times)
    assert len(times) > 500
    first = next(events())
    assert first.event_time is not None
    assert str(first.event_time.date()) == data.REPLAY_FROM
    assert list(data.replay("2020-01-01", "2020-01-02")) == []


def test_a_time_without_events_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "replay", lambda since, until: iter(()))
    with pytest.raises(OperatorError, match="the model has no event from 2020-01-01 before 2020-01-02"):
        events("2020-01-01", "2020-01-02")


@pytest.mark.slow
def test_a_model_without_events_of_its_own_replays_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    own = [item for item in events("2013-03-01", "2013-03-02") if item.label is not None]
    monkeypatch.delattr(data, "replay")
    rows = list(events("2013-03-01", "2013-03-02"))
    assert [(item.id, item.instance, item.label, item.label_at) for item in rows] == [
        (item.id, item.instance, item.label, item.label_at) for item in own
    ]


def test_events_of_another_form_are_told_with_what_they_lack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "replay", lambda since, until: iter([{"id": "a"}]))
    with pytest.raises(OperatorError, match="yields dict without id, event_time, instance, label, label_at"):
        events()


def replayed(
    monkeypatch: pytest.MonkeyPatch, source: Callable[..., Iterator[Flight]], *words: str, target: Target = TARGET
) -> Result:
    """What `modelstack replay` says, whose output is no terminal, and whose events are those of `source`."""
    monkeypatch.setattr(data, "replay", source)
    monkeypatch.setattr(sending, "find", lambda asked: target)
    monkeypatch.setattr(sending, "variant_of", lambda target, name: name)
    return CliRunner().invoke(main, ["replay", *words])


@pytest.mark.parametrize(
    ("words", "period"),
    [
        ([], (None, None)),
        (["--from", "2013-03-01"], ("2013-03-01", None)),
        (["--from", "2013-03-01", "--to", "2013-03-31"], ("2013-03-01", "2013-04-01")),
    ],
)
def test_the_last_day_of_a_replay_is_included_and_what_is_left_out_is_left_to_the_model(
    endpoint: MemoryInvoke, monkeypatch: pytest.MonkeyPatch, words: list[str], period: tuple[str | None, str | None]
) -> None:
    def given(since: str | None, until: str | None) -> Iterator[Flight]:
        asked.append((since, until))
        return iter([flight(0), flight(1)])

    asked: list[tuple[str | None, str | None]] = []
    done = replayed(monkeypatch, given, "--rate", "1000", *words)
    assert done.exit_code == 0, done.output
    assert asked == [period]
    assert "the data ends there: the last event is of 2013-03-01 12:01:00 UTC" in done.stderr


@pytest.fixture
def deaf() -> Iterator[None]:
    """A process that ignores requests to stop, as one that a script starts in its background does."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    ignored = {number: signal.signal(number, handler) for number, handler in before.items()}
    assert set(ignored.values()) == {signal.SIG_IGN}


@pytest.mark.usefixtures("deaf")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("first", "code"), [(0, 0), (3, 1)])
def test_a_replay_that_is_told_to_stop_reports_what_it_sent(
    endpoint: MemoryInvoke, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, first: int, code: int
) -> None:
    def stopped(since: str | None, until: str | None) -> Iterator[Flight]:
        yield flight(first)
        while not endpoint.sent:
            time.sleep(0.01)
        signal.raise_signal(number)
        yield from (flight(4 * n) for n in range(1, 6))

    done = replayed(monkeypatch, stopped, "--rate", "1000", "--json")
    report = json.loads(done.stdout)
    assert (done.exit_code, report["sent"], report["failed"]) == (code, 1, code), done.output
    assert "the data ends there" not in done.stderr


@pytest.mark.usefixtures("deaf")
def test_a_replay_that_waits_for_its_last_answers_reports_when_it_is_told_to_stop(
    endpoint: MemoryInvoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Pool(ThreadPoolExecutor):
        """Is interrupted at its first wait for all answers."""

        waits = 0

        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
            Pool.waits += 1
            if Pool.waits == 1:
                signal.raise_signal(signal.SIGTERM)
            super().shutdown(wait, cancel_futures=cancel_futures)

    monkeypatch.setattr("modelstack.cli.replay.ThreadPoolExecutor", Pool)
    done = replayed(monkeypatch, lambda since, until: iter([flight(0)]), "--rate", "1000", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["sent"] <= 1


def test_a_replay_without_a_terminal_says_now_and_then_how_fast_it_is_and_its_json_stays_whole(
    endpoint: MemoryInvoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = threading.Event()

    def line(report: Report, before: Mark, now: Mark, rate: float | None) -> str:
        if now.sent == 2:
            said.set()
        return tell(report, before, now, rate)

    def patient(since: str | None, until: str | None) -> Iterator[Flight]:
        yield from (flight(0), flight(3))
        assert said.wait(60)

    tell = replay_progress.line
    monkeypatch.setattr(replay_progress, "line", line)
    monkeypatch.setattr(replay_progress, "LINE_S", 0.01)
    done = replayed(monkeypatch, patient, "--rate", "1000", "--json")
    assert "replay: 2 sent, 1 failed; " in done.stderr
    assert "/s of 1000.0/s asked; 0 due up to 2013-03-01 and not done\n" in done.stderr
    assert json.loads(done.stdout)["sent"] == 2


def test_a_line_tells_the_rate_since_the_line_before_and_what_an_endpoint_owes() -> None:
    report = Report(last=NOON)
    before, now = Mark(100.0, 250, 250), Mark(110.0, 500, 374)
    at_rate = "replay: 374 sent, 0 failed; 12.4/s of 30.0/s asked; 126 due up to 2013-03-01 and not done"
    assert replay_progress.line(report, before, now, 30) == at_rate
    assert "12.4/s of 25.0/s asked" in replay_progress.line(report, before, now, None)
    assert replay_progress.line(Report(), before, now, None).startswith("replay: 374 sent")
