"""The team's own metrics as functions: how they are declared, refused, and computed."""

from __future__ import annotations

import math
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from modelstack.monitoring.__main__ import tried
from modelstack.monitoring.captured import Malformed
from modelstack.monitoring.custom import NATS, CustomMetric, CustomMetricError, CustomMetrics, Tally, load, mean, rate
from modelstack.rollout.core.catalogue import OWN
from modelstack.rollout.judge.metrics import Metric
from tests.captured import line

TWO = """
    from modelstack.monitoring.custom import mean, rate

    @rate(better="lower", margin=0.01, alarm=0.2)
    def long_delay(request, answer):
        return answer["minutes"] > 120

    @mean(better="lower", margin=0.5, low=-10, high=10)
    def cost(request, answer, label):
        return None if label is None else answer["minutes"] - label
"""


def written(folder: Path, text: str, name: str = "metrics.py") -> Path:
    (folder / name).write_text(textwrap.dedent(text))
    return folder


def declared(folder: Path, text: str = TWO) -> dict[str, CustomMetric]:
    return {one.name: one for one in load(written(folder, text)).each.values()}


def test_a_folder_without_python_files_or_without_metrics_has_none(tmp_path: Path) -> None:
    assert load(tmp_path / "missing") == load(tmp_path) == CustomMetrics()
    assert load(written(tmp_path, "LIMIT = 3")) == CustomMetrics()


def test_a_metric_is_compared_as_it_is_declared(tmp_path: Path) -> None:
    found, metrics = declared(tmp_path), load(tmp_path)
    assert metrics.compared() == {
        "long_delay": Metric(
            "long_delay", "rate", 0.01, prove=False, namespace=OWN, metric=found["long_delay"].published, expected=True
        ),
        "cost": Metric(
            "cost", "mean", 0.5, prove=False, low=-10, high=10, namespace=OWN, metric=found["cost"].published
        ),
    }
    assert found["cost"].place == "monitoring/metrics.py:8"
    assert metrics.any_of(labelled=True) and metrics.any_of(labelled=False)


def test_one_without_a_margin_is_drawn_and_not_compared(tmp_path: Path) -> None:
    found = load(written(tmp_path, TWO.replace("margin=0.01, ", "")))
    assert [one.name for one in found.each.values()] == ["long_delay", "cost"]
    assert list(found.compared()) == ["cost"]


def test_a_changed_definition_is_published_under_another_name(tmp_path: Path) -> None:
    before, digest = declared(tmp_path)["cost"], load(tmp_path).digest
    other = written(tmp_path, "X = 1", "other.py")
    assert declared(other)["cost"].published == before.published, "files stand alone"
    assert load(other).digest != digest, "and the whole is another one"
    assert declared(tmp_path, TWO.replace("120", "90"))["cost"].published != before.published


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import numpy", "monitoring/metrics.py:1: imports numpy; allowed are the standard library and modelstack"),
        ("x = 1\nfrom . import other", "monitoring/metrics.py:2: imports .; allowed"),
        ("from modelstack.monitoring import custom", "monitoring/metrics.py:1: imports modelstack.monitoring; allowed"),
        ("def f(:\n  pass", "monitoring/metrics.py:1: no Python: "),
        ("x = 1\n1 / 0", "monitoring/metrics.py:2: ZeroDivisionError: division by zero"),
        ("raise SystemExit(3)", "monitoring/metrics.py:1: SystemExit: 3"),
        ("@rate(better='lower')\ndef f(answer): ...", "metrics.py:2: f: it takes a request and an answer"),
        ("@rate(better='lower')\ndef f(request, answer, *more): ...", "f: it takes a request and an answer"),
        ("@rate(better='up')\ndef f(a, b): ...", "f: better is 'up'; allowed is lower or higher"),
        ("@rate(better='lower', prove=True)\ndef f(a, b): ...", "f: prove is True, which needs a margin"),
        ("@rate(better='lower', margin=-1)\ndef f(a, b): ...", "f: margin is -1; expected a number of at least 0"),
        ("@rate(better='lower', margin='1')\ndef f(a, b): ...", "f: an argument has the wrong type: "),
        ("@mean(better='lower', high=-1)\ndef f(a, b): ...", "f: low is 0.0; expected low < high, both finite"),
        ("@mean(better='lower', high=2, alarm=3)\ndef f(a, b): ...", "f: alarm is 3; allowed is a number between 0"),
        ("@rate(better='lower')\ndef errors(a, b): ...", "errors: allowed are at most 40 small letters, digits and _"),
        ("@rate(better='lower')\ndef Delay(a, b): ...", "Delay: allowed are at most 40 small letters, digits and _"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_with_its_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    imports = "from modelstack.monitoring.custom import mean, rate;" if text.startswith("@") else ""
    with pytest.raises(CustomMetricError) as refused:
        load(written(tmp_path, f"{imports}\n{text}".lstrip("\n")))
    assert message in str(refused.value)


def test_all_problems_are_named_at_once_and_two_metrics_of_one_name(tmp_path: Path) -> None:
    written(tmp_path, "import numpy\nimport pandas")
    with pytest.raises(CustomMetricError, match=r"(?s)metrics.py:1: imports numpy.*metrics.py:2: imports pandas"):
        load(tmp_path)
    written(written(tmp_path, TWO), TWO, "more.py")
    with pytest.raises(CustomMetricError, match=r"monitoring/more.py:4: long_delay: there is another one"):
        load(tmp_path)


def test_each_prediction_has_a_value_and_none_is_not_counted(tmp_path: Path) -> None:
    metrics, found = load(written(tmp_path, TWO)), declared(tmp_path)
    instances, predictions = ({}, {}, {}), ({"minutes": 130}, {"minutes": 5}, {"minutes": 121})
    assert metrics.observe(instances, predictions) == {found["long_delay"].published: Tally(3, 2.0, 2.0)}
    labelled = metrics.observe(instances, predictions, [100, 8, None])
    assert labelled == {found["cost"].published: Tally(2, 10 - 3, 100 + 9)}, "30 counts as 10, which is the most"


def test_a_function_that_fails_is_counted_with_its_error_and_line_and_stops_no_other(tmp_path: Path) -> None:
    metrics, found = load(written(tmp_path, TWO)), declared(tmp_path)
    rows = {"minutes": 130}, {"hours": 2}, {"minutes": "soon"}
    one = metrics.observe(({}, {}, {}), rows)[found["long_delay"].published]
    assert (one.count, one.total, one.failed) == (1, 1.0, 2)
    assert one.why == "KeyError: 'minutes' (monitoring/metrics.py:6)"
    unlike = metrics.observe(({},), rows)[found["long_delay"].published]
    assert (unlike.count, unlike.failed, unlike.why) == (
        0,
        3,
        "the request has 1 instances, and the answer 3 predictions",
    )
    lost = metrics.observe(Malformed("the request was not captured"), rows)[found["long_delay"].published]
    assert (lost.count, lost.failed, lost.why) == (0, 1, "the request was not captured")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("return 1", "ValueError: returned 1, expected True, False or None (monitoring/metrics.py:3)"),
        ("request['x'] = 1", "TypeError: 'mappingproxy' object does not support item assignment (monito"),
        ("raise SystemExit", "SystemExit:  (monitoring/metrics.py:5)"),
        ("return f(request, answer)", "RecursionError: maximum recursion depth exceeded"),
    ],
)  # fmt: skip
def test_whatever_a_function_does_instead_of_a_value_is_a_failure(tmp_path: Path, body: str, why: str) -> None:
    text = "from modelstack.monitoring.custom import rate\n\n@rate(better='lower')\ndef f(request, answer):\n    "
    metrics = load(written(tmp_path, f"{text}{body}"))
    (tally,) = metrics.observe(({},), ({},)).values()
    assert (tally.count, tally.failed) == (0, 1)
    assert tally.why.startswith(why)


def test_tallies_merge_and_are_stored() -> None:
    both = Tally(2, 3.0, 5.0, 1, "KeyError")
    both.merge(Tally(1, 1.0, 1.0, 2, "other"))
    assert both == Tally(3, 4.0, 6.0, 3, "KeyError")
    assert Tally.from_list(both.as_list()) == both
    with pytest.raises(ValueError, match="got 1 values, expected 5"):
        Tally.from_list([1])


def test_an_alarm_needs_more_than_a_mean_beyond_its_threshold(tmp_path: Path) -> None:
    metric = declared(tmp_path)["long_delay"]
    assert metric.evidence(Tally(1000, 190)) == metric.evidence(Tally()) == 0
    assert 0 < metric.evidence(Tally(20, 6)) < 1, "six of twenty are 30%, and may be chance"
    assert metric.evidence(Tally(2000, 600)) > 1
    # n KL(1 || 0.2) = n log 5
    assert metric.evidence(Tally(10, 10)) == pytest.approx(10 * math.log(5) / NATS)
    better_high = declared(tmp_path, TWO.replace('better="lower", margin=0.01', 'better="higher", margin=0.01'))
    assert better_high["long_delay"].evidence(Tally(2000, 600)) == 0
    assert better_high["long_delay"].evidence(Tally(2000, 200)) > 1


def test_the_interval_of_a_mean_is_in_its_own_unit(tmp_path: Path) -> None:
    found = declared(tmp_path)["cost"].interval(Tally(100, -400, 2000))
    assert found.value == -4
    assert found.low < -4 < found.high
    # the variance is (2000 - 1600) / 99
    assert found.high - found.low == pytest.approx(2 * 1.96 * math.sqrt(400 / 99 / 100), rel=1e-3)


def test_a_declared_function_is_still_a_function() -> None:
    @rate(better="lower")
    def even(request: dict[str, int], answer: dict[str, int]) -> bool:
        return answer["n"] % 2 == 0

    @mean(better="higher", high=3)
    def number(request: dict[str, int], answer: dict[str, int]) -> float:
        return answer["n"]

    assert even({}, {"n": 2})
    assert number({}, {"n": 2}) == 2


def test_a_person_tries_the_functions_on_captured_files(tmp_path: Path) -> None:
    folder = tmp_path / "monitoring"
    folder.mkdir()
    written(folder, TWO)
    file = tmp_path / "captured.jsonl"
    sides = [({"instances": [{}]}, {"predictions": [row]}) for row in ({"minutes": 130}, {"minutes": 3}, {})]
    file.write_bytes(b"\n".join(line(*both) for both in sides))
    done = subprocess.run(
        [sys.executable, "-m", "modelstack.monitoring", str(file)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == (
        "long_delay  0.5 (0.09453 to 0.9055), of 2 predictions, failed for 1: KeyError: 'minutes' "
        "(monitoring/metrics.py:6)\n"
    )
    written(folder, "import numpy")
    assert "monitoring/metrics.py:1: imports numpy" in "".join(refused(folder, file))


def refused(folder: Path, file: Path) -> list[str]:
    with pytest.raises(CustomMetricError) as caught:
        list(tried(folder, [file]))
    return [str(caught.value)]
