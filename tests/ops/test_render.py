"""What of a package has a place in the table of `modelstack status`."""

from __future__ import annotations

import pytest

from ops.image import region_of
from ops.render import shown_metrics


def test_metrics_of_a_users_own_are_shown_after_the_well_known_ones() -> None:
    assert shown_metrics({"ndcg": "1", "auc": "2", "hits": "3"}) == ["auc", "ndcg", "hits"]
    assert shown_metrics({"ndcg": "1"}) == ["ndcg"]


def test_what_has_no_place_is_left_out() -> None:
    assert len(shown_metrics(f"m{number}" for number in range(20))) < 20


@pytest.mark.parametrize(
    ("registry", "region"),
    [
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "eu-west-1"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("registry.example.com", None),
    ],
)
def test_the_region_of_a_registry_is_in_its_name(registry: str, region: str | None) -> None:
    assert region_of(registry) == region
