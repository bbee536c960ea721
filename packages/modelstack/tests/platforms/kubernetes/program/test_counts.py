from __future__ import annotations

import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from modelstack.platforms.kubernetes.program import counts as names
from modelstack.platforms.kubernetes.program.counts import CALLS, LEADING, PHASE, TICKS, Counts, Measure

MODELS = ("namespace", "models")


def read(counts: Counts) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(counts.text())
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def test_prometheus_reads_what_was_counted() -> None:
    counts = Counts("models")
    counts.add(TICKS, endpoint="a")
    counts.add(TICKS, endpoint="a")
    counts.add(CALLS, 3, verb="get", resource='"\\\n')
    counts.put(LEADING, 1)
    found = read(counts)
    assert found["modelstack_controller_ticks_total", (("endpoint", "a"), MODELS)] == 2
    assert found["modelstack_controller_api_calls_total", (("resource", '"\\\n'), ("verb", "get"))] == 3
    assert found["modelstack_controller_leading", ()] == 1


def test_it_tells_what_the_process_uses() -> None:
    found = read(Counts("models"))
    assert 5e6 < found["process_resident_memory_bytes", ()] < 5e9
    assert found["process_cpu_seconds_total", ()] > 0
    assert found["process_threads", ()] >= 1


def test_what_is_forgotten_is_not_told_and_the_rest_is() -> None:
    counts = Counts("models")
    for endpoint in ("a", "b"):
        counts.put(PHASE, 1, endpoint=endpoint, phase="idle")
    counts.forget(PHASE, endpoint="a")
    assert {key for name, key in read(counts) if name == PHASE.name} == {(("endpoint", "b"), MODELS, ("phase", "idle"))}


def test_the_page_names_every_metric_and_no_other() -> None:
    page = (Path(__file__).resolve().parents[6] / "docs" / "reference" / "controller.md").read_text()
    rows = [line for line in page.partition("## Its metrics")[2].splitlines() if line.startswith("|")]
    told = set(re.findall(r"`((?:modelstack|process)_\w+)`", "".join(rows)))
    assert told == {one.name for one in vars(names).values() if isinstance(one, Measure)}
