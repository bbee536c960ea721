"""Both cards: SageMaker's own classes take the one, and both tell the same."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from botocore.session import get_session
from botocore.validate import ParamValidator
from markdown_it import MarkdownIt

from modelstack.records.provenance.card import markdown, sagemaker
from modelstack.records.provenance.facts import DataFile, Facts
from tests.records.provenance.conftest import FACTS, UNKNOWN


def content(facts: Facts) -> Any:
    return json.loads(sagemaker(facts))


@pytest.fixture(scope="module")
def model_card_content() -> Any:
    """SageMaker's own class; its package takes seconds to import."""
    from sagemaker.core.shapes.model_card_shapes import ModelCardContent

    return ModelCardContent


@pytest.mark.slow
def test_sagemaker_knows_every_field(facts: Facts, model_card_content: Any):
    given = content(facts)
    assert model_card_content.model_validate(given).model_dump(exclude_none=True, mode="json") == given


def test_aws_takes_it_as_the_content_of_a_model_card(facts: Facts):
    asked = {"ModelCardName": facts.id, "Content": sagemaker(facts).decode(), "ModelCardStatus": "Draft"}
    shape = get_session().get_service_model("sagemaker").operation_model("CreateModelCard").input_shape
    assert ParamValidator().validate(asked, shape).generate_report() == ""
    assert len(asked["Content"]) <= shape.members["Content"].metadata["max"]


def test_long_values_and_many_files_fit_what_sagemaker_takes(model_card_content: Any):
    recipe = replace(FACTS.recipe, parameters={"note": "x" * 400})
    many = tuple(DataFile(f"part-{number}.csv", "2" * 64, 1) for number in range(30))
    model_card_content.model_validate(content(replace(FACTS, recipe=recipe, data=many)))


def test_both_cards_tell_the_same():
    text = markdown(FACTS).decode()
    told = content(FACTS)["additional_information"]["custom_details"]
    assert told["commit"] == FACTS.source.commit
    for name, value in told.items():
        assert f"| {name} | {value} |" in text
    assert "| log_loss | 0.4876 | 0.483 to 0.492 (95%) |" in text


def test_what_is_unknown_is_said_to_be():
    text = markdown(UNKNOWN).decode()
    for name in ("commit", "changed since the commit", "repository", "run"):
        assert f"| {name} | unknown |" in text


def test_a_parameter_cannot_write_the_card():
    recipe = replace(FACTS.recipe, parameters={"note": "a | b\n\n# Safe <script>x</script>"})
    text = markdown(replace(FACTS, recipe=recipe)).decode()
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    assert "<td>a | b  # Safe &lt;script&gt;x&lt;/script&gt;</td>" in html
    assert html.count("<h1>") == 1
