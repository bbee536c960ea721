"""Facts: the same ones are the same bytes, and nothing else passes for them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from modelstack.records.provenance.facts import Facts, FactsError
from tests.records.provenance.conftest import FACTS


def test_facts_are_read_back_as_they_were_written(facts: Facts):
    assert Facts.from_json(facts.to_json()) == facts


def test_the_order_of_parameters_leaves_no_trace():
    turned = dict(reversed(FACTS.recipe.parameters.items()))
    assert replace(FACTS, recipe=replace(FACTS.recipe, parameters=turned)).to_json() == FACTS.to_json()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"form": 2}, "package facts: got version 2, this library reads up to 1"),
        ({"source": {"commit": 7}}, r"\$.source.commit"),
        ({"dependencies": [{"name": "a", "version": "1", "role": "eats"}]}, r"\$.dependencies\[0\].role"),
        ({"builder": None}, r"\$.builder"),
    ],
)
def test_facts_of_another_form_are_refused_by_their_field(change: dict[str, object], told: str):
    with pytest.raises(FactsError, match=told):
        Facts.from_json(json.dumps({**json.loads(FACTS.to_json()), **change}).encode())


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff"])
def test_what_is_no_json_object_is_refused(content: bytes):
    with pytest.raises(FactsError, match="no facts of a package"):
        Facts.from_json(content)
