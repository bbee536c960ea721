"""Charts as data: who looks how, where a curve breaks, which widget is which figure. And the library that draws."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from modelstack.cli.console import app
from modelstack.cli.console.figure import Curve, Figure, Lane, Mark, Span, Version, colours, short
from modelstack.cli.console.widget_figures import figure
from modelstack.cli.platform.facts import Series
from modelstack.services.declaration.panels import CurveSpec, Panel, PanelSpec, Query

NOON = 1_772_366_400.0
HOUR = Span(NOON - 3600, NOON)
CHAMPION, CHALLENGER = "v-aaaaaaaaaaaa", "v-bbbbbbbbbbbb"
ROLES = {CHAMPION: "champion", CHALLENGER: "challenger"}
COLOURS = colours([list(ROLES)])
KNOWN = {name: Version(name, role, COLOURS[name]) for name, role in ROLES.items()}


def series(label: str, *values: float, apart: float = 60, first: float = HOUR.start) -> Series:
    return Series(label, tuple((first + apart * at, value) for at, value in enumerate(values)))


def searched(*labels: str, metric: str = "X", unit: str = "", **more: Any) -> Panel:
    text = f"SEARCH('{{a,VariantName}} MetricName=\"{metric}\"', 'Sum', 60)"
    queries = tuple(Query(text, label) for label in labels or ("",))
    return Panel(PanelSpec("t", unit, (CurveSpec(metric),), **more), queries, unfinished=True)


def drawn(panel: Panel, *found: Series, known: dict[str, Version] = KNOWN) -> Figure:
    return figure(panel, found, HOUR, (), known)


# --- who looks how


def test_a_role_looks_the_same_on_every_chart_and_differs_from_the_others_without_colour() -> None:
    one = drawn(searched(), series(CHALLENGER, 1), series(CHAMPION, 2))
    other = drawn(searched("p50", "p99"), *(series(f"{stat} {who}", 1) for stat in ("p50", "p99") for who in ROLES))
    for role in ROLES.values():
        looks = {
            (style.colour, style.dash)
            for shown in (one, other)
            for curve in shown.curves
            for style in (shown.style(curve),)
            if curve.version.role == role
        }
        assert len(looks) == 1, role
    dashes = {curve.version.role: other.style(curve).dash for curve in other.curves}
    assert dashes["champion"] != dashes["challenger"]
    markers = {curve.measure: other.style(curve).marker for curve in other.curves}
    assert markers["p50"] != markers["p99"], "measures of one role are told apart without colour"


def test_versions_without_a_role_and_curves_of_no_version_look_like_no_role_and_all_differ() -> None:
    shown = drawn(searched(), series(CHAMPION, 1), *(series(f"v-{number:012x}", 2) for number in range(6)))
    looks = [shown.style(curve) for curve in shown.curves]
    assert len(set(looks)) == 7
    shown = drawn(Panel(PanelSpec("t", ""), ()), *(series(f"what {number}", 1) for number in range(12)))
    looks = [shown.style(curve) for curve in shown.curves]
    assert len(set(looks)) == 12
    assert {look.colour for look in looks} <= {"1", "2", "3", "4", "5", "6"}


def test_a_search_that_finds_one_metric_is_of_the_only_version() -> None:
    shown = drawn(
        searched(metric="Invocations", unit="requests"), series("Invocations", 1), known={CHAMPION: KNOWN[CHAMPION]}
    )
    assert shown.curves[0].version == KNOWN[CHAMPION]
    assert shown.rows == ("requests",)


@pytest.mark.parametrize(("label", "row"), [("", "evidence"), ("Invalid", "Invalid"), ("carrier", "carrier")])
@pytest.mark.parametrize("after", ["", CHALLENGER], ids=["", "CloudWatch adds its own label"])
def test_a_curve_is_of_the_version_that_its_label_names(label: str, row: str, after: str) -> None:
    (curve,) = drawn(searched(label, unit="evidence"), series(f"{label} {CHALLENGER} {after}", 1)).curves
    assert (curve.measure, curve.version) == (row, KNOWN[CHALLENGER])


def test_with_two_versions_nobody_guesses_whose_a_curve_is() -> None:
    for label in ("DriftEvidence", ""):
        shown = drawn(searched(metric="DriftEvidence"), series(label, 1))
        assert (shown.curves[0].version, shown.rows) == (Version(), ("value",))


# --- what is drawn


def test_a_curve_breaks_where_data_is_missing() -> None:
    found = Series("s", tuple((HOUR.start + at, 1.0) for at in (0, 60, 120, 600, 660)))
    (curve,) = drawn(searched(), found).as_dict()["curves"]
    assert curve["y"] == [1.0, 1.0, 1.0, None, 1.0, 1.0]
    assert curve["x"] == sorted(curve["x"])


def test_a_point_from_before_the_time_that_is_shown_is_left_out() -> None:
    (curve,) = drawn(searched(), series("s", 9000, 1, 1, first=HOUR.start - 30)).as_dict()["curves"]
    assert curve["y"] == [1, 1]
    assert drawn(searched(), Series("s", ((HOUR.start - 30, 9000.0),))).empty, "so is a curve of such points alone"


def test_an_interval_is_a_band_around_its_measure_and_what_only_ends_like_one_is_a_curve() -> None:
    found = [
        series(f"Accuracy{end} {CHAMPION}", value, value) for end, value in (("", 0.8), ("Low", 0.7), ("High", 0.9))
    ]
    shown = drawn(searched("Accuracy", "AccuracyLow", "AccuracyHigh"), *found)
    (curve,) = shown.as_dict()["curves"]
    assert (curve["y"], curve["low"], curve["high"]) == ([0.8, 0.8], [0.7, 0.7], [0.9, 0.9])
    alone = drawn(searched("TooLow"), series(f"TooLow {CHAMPION}", 1))
    assert [curve.measure for curve in alone.curves] == ["TooLow"]


@pytest.mark.parametrize(("unit", "log"), [("ms", True), ("evidence", True), ("requests", False)])
def test_latency_and_evidence_are_on_a_log_scale(unit: str, log: bool) -> None:
    shown = drawn(searched(unit=unit), series(CHAMPION, 1))
    assert shown.log is log
    assert shown.vertical == (f"{unit}, log scale" if log else unit)


def test_what_happened_is_in_lanes_on_the_time_axis_and_not_a_curve_at_one() -> None:
    shown = drawn(searched(metric="Events", kind="events"), series("rolled_back", 0, 1), series("weights", 1, 2))
    assert shown.curves == ()
    assert [(lane.name, [(bar.began, bar.ended) for bar in lane.bars]) for lane in shown.lanes] == [
        ("rolled back", [(HOUR.start + 60, HOUR.start + 60)]),
        ("weights", [(HOUR.start, HOUR.start), (HOUR.start + 60, HOUR.start + 60)]),
    ]


@pytest.mark.parametrize(
    ("colour", "kinds"),
    [
        ("ok", "promoted"),
        ("alarm", "rolled_back rolling_back restoring failed stranded reduced untold left_to_judge"),
        ("4", "weights preparing held paused withdrawn superseded replayed a_kind_of_tomorrow"),
    ],
)
def test_only_a_good_event_is_green(colour: str, kinds: str) -> None:
    for kind in kinds.split():
        shown = drawn(searched(metric="Events", kind="events"), series(kind, 1))
        assert [lane.bars[0].colour for lane in shown.lanes] == [colour], kind


NAMES = [f"v-{number:012x}" for number in range(40)]
CHAMPIONS = [[NAMES[number // 7 * 7], name] for number, name in enumerate(NAMES)]  # each seventh was promoted


def test_a_version_keeps_its_colour_when_its_role_changes_and_when_others_are_released() -> None:
    found = colours(CHAMPIONS)
    for at in range(1, len(NAMES)):
        assert colours(CHAMPIONS[:at]).items() < found.items()
    assert set(found.values()) == {f"v{number}" for number in range(1, 7)}


def test_versions_that_were_live_together_differ_in_colour_and_so_do_the_newest() -> None:
    found = colours(CHAMPIONS)
    assert [pair for pair in CHAMPIONS if len(set(pair)) == 2 and len({found[name] for name in pair}) == 1] == []
    assert all(len({found[name] for name in NAMES[at : at + 4]}) == 4 for at in range(len(NAMES) - 4))


def test_an_older_version_has_no_colour_of_one_that_the_journal_knows() -> None:
    known = {name: Version(name, role, colour) for name, role, colour in (("v-a", "champion", "v1"), ("v-b", "", "v2"))}
    (*shown,) = (figure(searched(), [series(name, 1)], HOUR, (), known).curves[0].version for name in NAMES)
    assert [version.name for version in shown] == NAMES
    assert {version.colour for version in shown} == {"v3", "v4", "v5", "v6"}


def test_marks_outside_of_the_time_are_left_out_and_axes_say_their_units() -> None:
    shown = Figure("t", HOUR, unit="ms", period=300, marks=(Mark(NOON - 7200, "long ago"), Mark(NOON - 60, "now")))
    assert [mark["text"] for mark in shown.as_dict()["marks"]] == ["now"]
    assert (shown.vertical, shown.horizontal) == ("ms", "UTC, one point each 5 min")


def test_a_figure_says_what_it_shows() -> None:
    version = Version("v-a", "champion")
    assert (
        "t (ms): champion v-a p99 is 1.5" in Figure("t", HOUR, (Curve("p99", version, ((NOON, 1.5),)),), unit="ms").said
    )
    assert "no data" in Figure("t", HOUR).said
    assert "0 of trial" in Figure("t", HOUR, lanes=(Lane("trial", ()),)).said


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (1500, "1.5k"), (2_000_000, "2M"), (0.025, "0.025"), (-4200, "-4.2k")]
)
def test_numbers_are_short(number: float, text: str) -> None:
    assert short(number) == text


# --- the library


def test_the_library_is_the_one_that_is_named_byte_by_byte() -> None:
    folder = Path(app.__file__).parent / "static" / "uplot"
    named: dict[str, Any] = json.loads((folder / "vendored.json").read_text())
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    files.pop("vendored.json")
    assert files == named["sha256"]
    assert f"(v{named['version']})" in (folder / "uPlot.iife.min.js").read_text()[:100]
    assert (folder / "LICENSE").read_text().startswith(f"The {named['licence']} License")
