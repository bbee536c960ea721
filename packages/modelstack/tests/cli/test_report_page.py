"""The comment is whole whatever is known, short when nothing changes, and safe whatever a package says."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from modelstack.cli.errors import REFUSED, UNKNOWN
from modelstack.cli.report.compared import compared
from modelstack.cli.report.duration import Traffic, foreseen
from modelstack.cli.report.facts import Facts, Latency, Missing, PackageFacts
from modelstack.cli.report.gather import Live, expected
from modelstack.cli.report.infrastructure import Prices
from modelstack.cli.report.page import marker, page
from modelstack.cli.report.preview import ROLLOUT, PolicyViolation, Preview, read
from modelstack.cli.report.versions import ComparedVersion
from modelstack.monitoring.statistics.profile import Categorical, Profile
from modelstack.pipeline.archive import Manifest
from modelstack.rollout.core.plan import Plan, Step
from modelstack.rollout.core.verdict import Verdict
from modelstack.rollout.judge.metrics import Metric
from modelstack.rollout.reason import Reason
from tests.cli.test_report_compared import answered
from tests.cli.test_report_preview import CONFIG, ROLE, allow, config, policy, step
from tests.rollout.worlds import release, wish

PRICES = Prices({"ml.m5.large": 0.115}, 730, "2026-11-28")
PROFILE = Profile({"origin": Categorical(("EWR", "JFK"), (600, 400, 0), 0, frozenset())}, 1000)
OTHER = Profile(
    {"origin": Categorical(("EWR", "JFK"), (300, 700, 0), 0, frozenset()), "wind": PROFILE.columns["origin"]}, 1000
)
PLAN = Plan((Step(10, 300), Step(50, 300)), metrics=(Metric("errors", "rate", 0.02),))
TRAINING = {"first_event": "2013-01-01T05:00", "last_event": "2013-02-28T23:00"}
CHAMPION = PackageFacts(
    "sha256:" + "a" * 64, "1" * 64, 330_000, {"max_iter": 60}, {"auc": 0.68, "rows": 20_000}, TRAINING, PROFILE, True
)
CHALLENGER = PackageFacts(
    "sha256:" + "b" * 64, "2" * 64, 410_000, {"max_iter": 90}, {"auc": 0.69, "rows": 20_000}, TRAINING, OTHER, True
)
LINES = [
    step("same", CONFIG, "solo-a", config("a", "ml.m5.large"), config("a", "ml.m5.large")),
    step("create", CONFIG, "solo-b", None, config("b", "ml.m5.large", 2)),
    step("update", ROLE, "role", policy(allow("s3:GetObject", "arn:x")), policy(allow("s3:*", "*")), diffs=["policy"]),
    step("delete", "aws:sqs/queue:Queue", "letters", {"name": "q"}),
    step(
        "update",
        ROLLOUT,
        "rollout",
        {},
        {"desired_release": {"config_name": "b"}, "start_trial": True},
        diffs=["desired_release"],
    ),
    json.dumps({"summaryEvent": {"PolicyPacks": {"modelstack": "v0.1.0"}}}),
]


def facts(**given: Any) -> Facts:
    traffic = Traffic(3.0, 0.001)
    usual = {
        "stack": "dev",
        "preview": read(LINES, 0),
        "prices": PRICES,
        "champion": CHAMPION,
        "champion_config": "a",
        "challenger": CHALLENGER,
        "compared": compared(answered(0.0), answered(-0.1)),
        "latency": (Latency(1.0, 2.0), Latency(1.1, 2.5)),
        "traffic": traffic,
        "rollout": foreseen(PLAN, traffic),
        "seconds": 31.0,
        "trained": 12.0,
    }
    return Facts(**{**usual, **given})


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ((Step(10, 300), Step(50, 300)), "⚠️ nothing asked the champion in the last day"),
        ((Step(100, 300),), "about 5 min, whatever the traffic"),
    ],
)
def test_without_requests_a_trial_fails_unless_the_challenger_takes_everything_at_once(
    steps: tuple[Step, ...], said: str
) -> None:
    none = Traffic(0.0)
    assert f"| **Rollout** | {said}" in page(facts(traffic=none, rollout=foreseen(replace(PLAN, steps=steps), none)))


def test_it_tells_all_parts_with_the_short_table_first() -> None:
    shown = page(facts())
    assert shown.splitlines()[0] == "<!-- modelstack pr-report dev -->"
    for part in (
        "| **Infrastructure** | 1 to create, 2 to update, 1 to delete; permissions: 2 statements, **1 new and wide** |",
        "| **Cost** | 84 → 168 USD a month (+84) |",
        "| **Model** | ✅ surely better: `log_loss` 0.",
        "; 2.0% of the decisions change |",
        "| **Data** | 1 of 1 features moved; + `wind` |",
        "| **Policies** | ✅ none fails |",
        "| **Rollout** | about ",
        "| 🔴 delete | `letters` | `aws:sqs/queue:Queue` |  |",
        "| + | `role` | Allow |  | `s3:*` | `*` |  |",
        "| latency p99 | 2.00 ms | 2.50 ms |",
        "| size | 322.3 kB | 400.4 kB |",
        "<summary>Calibration: expected error",
        "<summary>By segment (3)</summary>",
        "| `max_iter` | `60` | `90` |",
        "| `origin` | `",
        "Today's traffic: 180 requests a minute",
        "Made in 31 s; training took 12 s.",
    ):
        assert part in shown, part
    assert shown.count("<details>") == shown.count("</details>") == shown.count("<summary>")


def test_nothing_at_all_is_one_line() -> None:
    same = facts(preview=read(LINES[:1], 0), challenger=CHAMPION)
    assert page(same).splitlines() == [
        *("<!-- modelstack pr-report dev -->", ""),
        f"**Nothing changes on stack `dev`**: no resource, and the same model (recipe `{'1' * 12}`).",
    ]
    assert same.exit_code == 0


def test_that_another_release_is_restored_is_said_first_also_where_nothing_changes() -> None:
    for shown in (
        page(facts(restored=wish())),
        page(facts(restored=wish(), preview=read(LINES[:1], 0), challenger=CHAMPION)),
    ):
        assert (
            "⚠️ Release `3f0c` is restored on this stack: asked for by ada: it sold more. Until" in shown.splitlines()[2]
        )


FIRST = Missing("nothing serves yet, so this is the first release: nothing to compare with")
AWAY = Missing("what serves is not known: no AWS credentials", UNKNOWN)
NONE = Missing("there is no challenger")
FAILS = Missing('train failed: ZeroDivisionError: division by zero\n  File "model/training.py", line 12', REFUSED)
STOPS = PolicyViolation("captured", "solo-b", "data capture is off", stops=True)
BELOW = "the model is below its gates:\n  auc  0.6800  min 0.9"
SLOW = Traffic(0.01)
CASES: dict[str, tuple[dict[str, Any], int, list[str], list[str]]] = {
    "the same model on other resources": (
        {"challenger": CHAMPION, "compared": Missing("both are the same package")}, 0,
        ["| **Model** | the same package as the one that serves |", "### Infrastructure"], ["### Model", "### Data"],
    ),
    "a first release": (
        {"champion": FIRST, "champion_config": None, "compared": FIRST, "latency": (None, Latency(1.1, 2.5)),
         "traffic": FIRST, "rollout": Missing("none: the first release serves at once")}, 0,
        ["| **Model** | nothing serves yet", "| latency p50 | - | 1.10 ms |", "| **Cost** | 168 USD a month |",
         "| **Rollout** | none: the first release serves at once |"], ["### Data"],
    ),
    "a policy stops the preview": (
        {"preview": replace(read(LINES, 255), findings=(STOPS,), errors=("preview failed",))}, 1,
        ["\n❌ No: the preview fails: policy captured: data capture is off\n",
         "| **Preview** | ❌ fails with exit code 255: policy captured: data capture is off |",
         "| **Policies** | ❌ `captured` would stop an update |", "| `captured` | `solo-b` | data capture is off |"],
        [],
    ),
    "a preview that says nothing": (
        {"preview": Preview(6, errors=("no stack named 'dev' found",))}, 3,
        ["\n❔ Not known: the preview fails: no stack named 'dev' found\n", "not known, as the preview fails"],
        ["### Infrastructure"],
    ),
    "the training fails": (
        {"challenger": FAILS, "compared": NONE, "latency": NONE}, 1,
        ["\n❌ No: train failed: ZeroDivisionError: division by zero File",
         "| **Model** | ❌ train failed: ZeroDivisionError: division by zero |",
         "```text\ntrain failed: ZeroDivisionError: division by zero\n"], [],
    ),
    "the challenger is below the gates": (
        {"gates": BELOW}, 1,
        ["\n❌ No: the model is below its gates: auc 0.6800 min 0.9\n", "❌ below its gates", "min 0.9",
         "On the same 2,000 rows"], [],
    ),
    "the champion is below the gates": (
        {"challenger": CHAMPION, "gates": BELOW}, 1,
        ["❌ below its gates", "### Model\n\n```text\nthe model is below its gates:\nauc  0.6800  min 0.9\n```"], [],
    ),
    "no credentials, for which no pull request is to blame": (
        {"champion": AWAY, "compared": AWAY, "latency": (None, Latency(1, 2)), "traffic": AWAY, "rollout": AWAY}, 3,
        ["\n❔ Not known: what serves is not known: no AWS credentials\n",
         "| **Model** | what serves is not known: no AWS credentials |"], [],
    ),
    "too little traffic": (
        {"traffic": SLOW, "rollout": foreseen(PLAN, SLOW)}, 0,
        ["| **Rollout** | ⚠️ does not end within 30 min at today's traffic, and is then rolled back |"], [],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_comment_is_whole_whatever_is_known_and_fails_the_check_only_for_what_is_wrong(case: str) -> None:
    given, code, told, left_out = CASES[case]
    made = facts(**given)
    shown = page(made)
    assert [part for part in told if part not in shown] == []
    assert [part for part in left_out if part in shown] == []
    assert code == 0 or re.match("<!-- .* -->\n\n[❌❔] ", shown), "the cause is the first line that a person sees"
    assert made.exit_code == code


EVIL = "<img src=x>|`@all`\n## owned [x](http://evil) </details><!--"


def test_nothing_that_a_package_says_becomes_markdown() -> None:
    evil = replace(
        CHALLENGER,
        recipe=EVIL,
        digest=EVIL,
        parameters={EVIL: EVIL},
        metrics={EVIL: 1.0},
        training={"first_event": EVIL, "last_event": EVIL},
        profile=Profile({EVIL: PROFILE.columns["origin"]}, 5),
    )
    found = compared(answered(0.0), answered(-0.1, segments={EVIL: [EVIL] * 1000 + ["b"] * 1000}))
    finding = PolicyViolation(EVIL, EVIL, EVIL, stops=True)
    seen = replace(
        read([step("delete", EVIL, "x", {EVIL: EVIL}, diffs=[EVIL])], 1), findings=(finding,), errors=(EVIL,)
    )
    shown = page(facts(challenger=evil, compared=found, preview=seen, rollout=Missing(EVIL)))
    outside = re.sub(r"```text\n.*?\n```", "", shown, flags=re.DOTALL)
    outside = re.sub(r"`[^`\n]*`", "", outside)
    assert "<img" not in outside and "](http" not in outside and "@all" not in outside
    assert not re.search(r"^## owned", outside, flags=re.MULTILINE)
    assert outside.count("</details>") == outside.count("<details>")
    assert outside.count("<!--") == 1
    cells = {line.count(" | ") for line in outside.splitlines() if line.startswith("| ") and "segment" in line}
    assert len(cells) <= 1


def test_it_is_never_longer_than_a_comment_may_be() -> None:
    many = [step("create", ROLE, f"role-{n}", None, policy(allow(f"s3:Get{n}", "x" * 90))) for n in range(3000)]
    findings = tuple(PolicyViolation(f"p{n}", "r" * 100, "m" * 500, stops=True) for n in range(1000))
    shown = page(facts(preview=replace(read(many, 1), findings=findings, errors=("e" * 5000,) * 50)))
    assert len(shown.encode()) < 65_536
    assert "… and 960 rows more." in shown


def test_a_marker_holds_nothing_but_the_name_of_its_stack() -> None:
    assert marker("org/modelstack/dev") == "<!-- modelstack pr-report org/modelstack/dev -->"
    assert marker("a --> b") == "<!-- modelstack pr-report a--b -->"


def test_a_rejected_release_is_said_to_be_rejected(tmp_path: Path) -> None:
    declared = step(
        "update",
        ROLLOUT,
        "rollout",
        {},
        {"desired_release": {"config_name": "a"}, "start_trial": False},
        diffs=["desired_release"],
    )
    verdict = Verdict("rolled_back", Reason("person", "ada", "looks odd"), "1-b", "b", "2" * 64, CHALLENGER.digest, 1.0)
    challenger = ComparedVersion(CHALLENGER, tmp_path, cast(Manifest, None))
    live = Live(None, None, rejected=(verdict,))
    found = expected(read([declared], 0), live, Traffic(3.0, 0.001), challenger)
    assert isinstance(found, Missing)
    assert found.why.startswith("release b is rejected (looks odd); it is not tried again until its recipe")
    made = facts(rollout=found)
    assert made.exit_code == 0, "the update would succeed, and not release it"
    assert page(made).splitlines()[2].startswith("⚠️ This checkout's release b is rejected \\(looks odd\\); ")
    other = expected(read([declared], 0), replace(live, rejected=()), Traffic(3.0, 0.001), challenger)
    serves = replace(live, champion=replace(release("a"), package_digest=CHALLENGER.digest))
    again = expected(read([declared], 0), serves, Traffic(3.0, 0.001), challenger)
    assert other == again == Missing("none: no other release would serve"), "it serves with another image"
