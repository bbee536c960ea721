"""Rows: a model that is bad in one way or another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from modelstack.rollout.core.catalogue import metric
from modelstack.rollout.core.plan import Plan, ReplayGate, Step
from modelstack.rollout.judge.metrics import Metric
from tests.conformance.row import (
    AWS_ADAPTER,
    BOTH,
    BOTH_ADAPTERS,
    KUBERNETES_ADAPTER,
    PROMOTED,
    QUICK,
    REJECTED,
    THEIRS,
    UNPROVEN,
    Expected,
    Row,
    rolled_back,
)
from tests.conformance.stage import FaultStage, Platform

SOLD = Metric("conversions", "rate", 0.1, better="higher", namespace="shop", metric="Conversions")
GatedRow = partial(Row, plan=replace(QUICK, replay=ReplayGate(requests=30)), captures=True, before=FaultStage.captured)
WRONG = '{"predictions": [{"late": false, "probability": 0.1}]}'
NAN = '{"predictions": [{"late": true, "probability": NaN}]}'
STAYS: Mapping[Platform, str] = {
    "kubernetes": "a challenger is put beside the pods that serve, and none of the champion's starts anew for it"
}
_FOR_P99 = 1000  # requests


def judged_by(*metrics: Metric, steps: tuple[Step, ...] = (Step(50, 5),), **changes: float) -> Plan:
    """A quick plan that compares further metrics."""
    return replace(QUICK, metrics=(*QUICK.metrics, *metrics), steps=steps, **changes)


def _tail_is_known(stage: FaultStage) -> None:
    """Ask until the champion's p99 is known well enough to compare with."""
    with stage.load(rate=60, workers=6):
        stage.wait(lambda: stage.timed("champion") >= _FOR_P99, "the champion's p99")


def _archive_breaks(stage: FaultStage) -> None:
    """New instances of the champion do not start any more; the one that serves goes on."""
    stage.breaks_archive("champion")


def _skip_trial(stage: FaultStage) -> None:
    failed = stage.state().verdict
    assert failed is not None
    assert (failed.outcome, failed.reason.name) == ("failed", "v-champion"), failed
    assert stage.approval("challenger") == "PendingManualApproval"
    stage.controller().skip_trial("challenger", stage.person("the champion's archive is gone"))
    stage.trial("challenger", QUICK)


def _cannot_come_back(stage: FaultStage) -> None:
    """A person takes the challenger back, and the champion's own config does not start."""
    _archive_breaks(stage)
    stage.controller().roll_back(stage.person("it answers oddly"))


def _next_skips_its_trial(stage: FaultStage) -> None:
    taken_back = stage.state()
    assert taken_back.verdict is not None
    assert (taken_back.verdict.outcome, taken_back.verdict.reason.source) == ("rolled_back", "person"), (
        taken_back.verdict
    )
    assert stage.live().config == stage.pair("champion", "challenger")
    stage.wait(lambda: stage.told("stranded", taken_back.rollout_id), "that the champion stays is told")
    stage.release("next")
    failed = stage.trial("next", QUICK).verdict
    assert failed is not None
    assert (failed.outcome, failed.reason.name) == ("failed", "v-champion"), failed
    stage.controller().skip_trial("next", stage.person("the champion's archive is gone"))
    stage.trial("next", QUICK)


def _champions_alarm(stage: FaultStage) -> None:
    stage.deliver(stage.fire("champion"))


MODELS: tuple[Row, ...] = (
    Row(
        name="errors",
        happens="The challenger answers 5XX. The judge finds its error rate worse within a window or two.",
        see="`rolled back`, metric `errors`, with both rates and the evidence.",
        do="Read the container's log, fix the model, release it again.",
        challenger={"status": 500},
        adapters=BOTH_ADAPTERS,
        expects=rolled_back("judge", "errors", says="errors worse", fails=THEIRS),
    ),
    Row(
        name="slow",
        happens="The challenger answers, but slowly. The judge compares quantiles of latency.",
        see="`rolled back`, metric `latency_p50`, with the shares slower than the champion's quantile.",
        do="Profile the model, or allow a larger margin if it is worth the time.",
        challenger={"delay": 0.8},
        plan=judged_by(metric("latency_p50", margin=1.0), steps=(Step(50, 40),)),
        adapters=BOTH_ADAPTERS,
        expects=rolled_back("judge", "latency_p50", says="latency_p50 worse"),
    ),
    Row(
        name="slow-tail",
        happens="One in five of the challenger's answers is slow, the others are as fast as ever: its median shows "
        "nothing. The judge compares the tail with the champion's.",
        see="`rolled back`, metric `latency_p99`, with the shares slower than the champion's quantile.",
        do="Look for what only some requests meet: a cache, a lock, a collection of garbage.",
        challenger={"delay": 6.0, "delayed": 0.2},
        callers=10,
        plan=judged_by(metric("latency_p99", margin=1.0), steps=(Step(50, 90),), max_seconds=150),
        before=_tail_is_known,
        expects=rolled_back("judge", "latency_p99", says="latency_p99 worse"),
    ),
    GatedRow(
        name="slow-at-replay",
        happens="The challenger answers captured requests as the champion did, but takes much longer for them. The "
        "replay gate turns it back.",
        see="`rolled back`, source `replay`, with the ratio of the medians of latency.",
        do="Profile the model, or raise `max_latency_ratio` if it is worth the time.",
        challenger={"delay": 1.0},
        expects=rolled_back("replay", "latency", says="times the champion's", silent=THEIRS),
    ),
    GatedRow(
        name="nan-answers",
        happens="The challenger predicts NaN. The replay gate sees it before any live request does.",
        see="`rolled back`, source `replay`, with the field that is no finite number.",
        do="Look for inputs that the model was not trained on; `modelstack explain` shows examples.",
        challenger={"answer": NAN},
        adapters=BOTH_ADAPTERS,
        expects=rolled_back("replay", "errors", says="expected a finite number", silent=THEIRS),
    ),
    Row(
        name="nan-live",
        happens="The challenger predicts NaN, and there is no replay gate. It answers 200 and fast, and no label ever "
        "comes; captured answers are held against the model's contract.",
        see="`rolled back`, metric `invalid_answers`, with both shares; the reasons under `labels-rejected/`.",
        do="Look for inputs that the model was not trained on; turn the replay gate on, so that no caller sees such.",
        challenger={"answer": NAN},
        plan=judged_by(metric("invalid_answers", prove=True)),
        captures=True,
        beside=lambda stage: stage.labels(None),
        adapters=BOTH_ADAPTERS,
        expects=rolled_back("judge", "invalid_answers", says="invalid_answers worse"),
    ),
    Row(
        name="counted-late",
        happens="Nobody counts captured answers: the labels function stands still, or has more to count than it can. "
        "What `invalid_answers` waits for never comes. The time of the trial grows by as much as answers are counted "
        "late, up to twice, and then ends it. That is no verdict on the release.",
        see="`failed`, source `timeout`: how late answers are counted, and how many are uncounted. The release is not "
        "rejected. An alarm on the function.",
        do="Look why they are not counted ([a function fails](../how-to/runbook.md#a-function-fails)), then release "
        "again.",
        plan=judged_by(metric("invalid_answers", prove=True), steps=QUICK.steps, max_seconds=20),
        captures=True,
        expects=replace(UNPROVEN, says="of the challenger's are uncounted"),
    ),
    GatedRow(
        name="out-of-schema-answers",
        happens="The challenger answers in another form than the champion. The replay gate turns it back.",
        see="`rolled back`, source `replay`, with the field that is missing.",
        do="Keep the form of the answers, or change the clients first and the gate's limits with them.",
        challenger={"answer": '{"scores": [0.9]}'},
        expects=rolled_back("replay", "errors", says="another schema", silent=THEIRS),
    ),
    GatedRow(
        name="other-decisions",
        happens="The challenger's decisions on captured requests differ from the champion's more often than "
        "allowed.",
        see="`rolled back`, source `replay`, with the share of changed decisions.",
        do="If the change is wanted, raise `max_changed`; a metric that needs labels, such as `accuracy`, then judges "
        "who is right.",
        challenger={"answer": WRONG},
        expects=rolled_back("replay", "changed decisions", says="decision", silent=THEIRS),
    ),
    Row(
        name="wrong-predictions",
        happens="The challenger answers well-formed and fast, and wrong. Late labels show it.",
        see="`rolled back`, metric `accuracy`, with both accuracies.",
        do="Compare the data it was trained on with what is asked now.",
        challenger={"answer": WRONG},
        plan=judged_by(metric("accuracy", margin=0.3, prove=True)),
        captures=True,
        beside=lambda stage: stage.labels(True),
        expects=rolled_back("judge", "accuracy", says="accuracy worse"),
    ),
    Row(
        name="wrong-probabilities",
        happens="The challenger decides as the champion does, but gives the true answer a probability of only "
        "10%. Late labels show it: the accuracy is the same, and the log-loss is worse.",
        see="`rolled back`, metric `log_loss`, with both means.",
        do="Calibrate the model; look at the class weights in training.",
        challenger={"answer": '{"predictions": [{"late": true, "probability": 0.1}]}'},
        plan=judged_by(metric("accuracy", margin=0.3), metric("log_loss", margin=0.3, prove=True)),
        captures=True,
        beside=lambda stage: stage.labels(True),
        adapters=BOTH_ADAPTERS,
        expects=rolled_back("judge", "log_loss", says="log_loss worse"),
    ),
    Row(
        name="own-metric",
        happens="The challenger answers well, and customers buy less. The service that knows publishes a metric of the "
        "user's own, and the judge compares it.",
        see="`rolled back`, the metric's name, with both rates.",
        do="Ask the owner of the metric. The requests themselves show nothing.",
        plan=judged_by(SOLD),
        beside=lambda stage: stage.publishes("shop", "Conversions", {"champion": 0.6, "challenger": 0.2}),
        adapters=BOTH_ADAPTERS,
        expects=rolled_back("judge", "conversions", says="conversions worse"),
    ),
    Row(
        name="bad-shadow",
        happens="The challenger fails on copies of requests in a shadow step. No caller saw its answers.",
        see="`rolled back`, metric `errors`; the champion answered everything.",
        do="As for errors.",
        challenger={"status": 500},
        plan=replace(QUICK, steps=(Step(100, 2, shadow=True), Step(50, 2))),
        adapters=BOTH_ADAPTERS,
        expects=rolled_back("judge", "errors", says="errors worse", silent=THEIRS),
    ),
    Row(
        name="wrong-shadow",
        happens="The challenger answers copies of requests well-formed and fast, and wrong. Champion and challenger "
        "share the inference ids, and late labels are joined with both. No caller saw its answers.",
        see="`rolled back`, metric `accuracy`, with both accuracies; the champion answered everything.",
        do="As for wrong predictions.",
        challenger={"answer": WRONG},
        plan=judged_by(metric("accuracy", margin=0.3, prove=True), steps=(Step(100, 5, shadow=True), Step(50, 2))),
        captures=True,
        beside=lambda stage: stage.labels(True),
        expects=rolled_back("judge", "accuracy", says="accuracy worse", silent=THEIRS),
    ),
    Row(
        name="crash-loop",
        happens="The challenger's container ends at every request and is started again and again. The judge finds its "
        "error rate worse, unless Kubernetes has said before that it ended three times.",
        see="`rolled back`, metric `errors`, or the challenger's variant with what its container said last; requests "
        "to it are answered 503 meanwhile.",
        do="Read the container's log for what it said last; look at its memory.",
        challenger={"crash": True},
        adapters=KUBERNETES_ADAPTER,
        expects=rolled_back("judge", "errors", says="errors worse", fails=THEIRS, or_by=("endpoint", "v-challenger")),
    ),
    Row(
        name="never-starts",
        happens="The challenger's container never answers its health check. It gets no traffic at all.",
        see="`rolled back`, source `endpoint`, the challenger's variant and the container's last line.",
        do="Run the container by hand with the same archive.",
        challenger={"start": "raise"},
        adapters=BOTH_ADAPTERS,
        expects=rolled_back("endpoint", "v-challenger", says="no module named", silent=THEIRS),
    ),
    Row(
        name="no-traffic",
        happens="No request reaches the challenger: too little traffic is never a pass. The time runs out.",
        see="`rolled back`, source `timeout`: no data of the challenger.",
        do="Look whether clients set `TargetVariant`, give the trial more time, or a larger share; then "
        "`modelstack clear`.",
        plan=replace(QUICK, max_seconds=30),
        asks="champion",
        expects=rolled_back("timeout", "max_seconds", says="no data of the challenger", silent=THEIRS),
    ),
    Row(
        name="misspelt-metric",
        happens="A metric of the user's is misspelt, so it never has data. What is unknown never promotes.",
        see="`rolled back`, source `timeout`, with the metric's name and where it was looked for.",
        do="Correct `namespace` and `metric` in the stack config, then `modelstack clear`.",
        plan=judged_by(replace(SOLD, metric="Conversoins"), steps=QUICK.steps, max_seconds=30),
        expects=rolled_back("timeout", "max_seconds", says="in metric Conversoins in shop"),
    ),
    Row(
        name="bad-champion",
        happens="The champion itself answers 5XX, and its alarm goes off during the trial. A good challenger "
        "can still be promoted.",
        see="People are told of the champion's alarm, and it rolls nothing back. The good challenger is "
        "promoted.",
        do="Nothing. Release the fixed model as always.",
        champion={"status": 500, "share": 0.6},
        plan=replace(QUICK, steps=(Step(50, 5),)),
        alarms=(("champion", "5xx"),),
        during=_champions_alarm,
        expects=replace(PROMOTED, fails=frozenset({"champion"}), ignored=True),
    ),
    Row(
        name="champion-cannot-start",
        happens="The champion serves, but a new instance of it does not start, so nothing can be put beside it. The "
        "challenger is not rejected for that, and a person may let it take over without a trial.",
        see="`failed`, source `endpoint`, the champion's variant; then `promoted` by the person.",
        do="Fix what keeps the champion from starting, or `modelstack skip-trial`, and release again.",
        before=_archive_breaks,
        after=_skip_trial,
        not_on=STAYS,
        adapters=AWS_ADAPTER,
        expects=Expected("promoted", "person", ("ada",), "challenger", BOTH),
    ),
    Row(
        name="champion-cannot-come-back",
        happens="The challenger is taken back, and a new instance of the champion does not start. The champion keeps "
        "all traffic on the instances that it has, beside the idle challenger. The next release cannot be tried beside "
        "it, and a person lets it take over.",
        see="`rolled back` by the person, then `stranded` with the reason; the next release `failed`, then `promoted` "
        "by the person.",
        do="Fix what keeps the champion from starting, or `modelstack skip-trial` for the next release.",
        plan=replace(QUICK, steps=(Step(50, 60),)),
        during=_cannot_come_back,
        after=_next_skips_its_trial,
        not_on=STAYS,
        expects=Expected("promoted", "person", ("ada",), "next", {**REJECTED, "next": "Approved"}),
    ),
)  # fmt: skip
