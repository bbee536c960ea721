from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from modelstack.platforms.kubernetes.rules import config_of, lingering, rules, weights
from modelstack.platforms.kubernetes.serving_config import Backend, ServingConfig

A, B, C = Backend("v-a", "w-a"), Backend("v-b", "w-b"), Backend("v-c", "w-c")
ALONE, PAIR, SHADOW = ServingConfig("w-a", A), ServingConfig("p", A, B), ServingConfig("s", A, B, 30)
CONFIGS = st.sampled_from([ALONE, PAIR, SHADOW])
SHARES = st.integers(0, 100)


@given(CONFIGS, SHARES, st.lists(st.sampled_from([B, C]), unique=True))
def test_rules_say_what_they_were_made_from(config: ServingConfig, share: int, older: list[Backend]) -> None:
    share = share if config is PAIR else 0
    made = rules(config, {"v-a": 100 - share, "v-b": share}, older)
    assert config_of(config.name, made) == config
    expected = {"w-a": 100 - share} | ({"w-b": share} if config is PAIR else {})
    assert weights(made) == expected
    kept = lingering(made, config)
    assert kept == [item for item in older if item not in config.backends]
    assert rules(config, {"v-a": 100 - share, "v-b": share}, kept) == made


@given(CONFIGS, SHARES)
def test_all_that_answer_have_a_weight_and_no_rule_but_the_last_has_another_than_one(
    config: ServingConfig, share: int
) -> None:
    *targets, default = made = rules(config, {"v-a": 100 - share, "v-b": share})
    assert all("filters" not in backend for rule in made for backend in rule["backendRefs"])
    assert [rule["backendRefs"][0]["weight"] for rule in targets] == [1] * len(config.backends)
    assert all(len(rule["backendRefs"]) == 1 and "filters" not in rule for rule in targets)
    assert "headers" not in default["matches"][0]


def test_only_predictions_pass() -> None:
    for rule in rules(PAIR, {"v-a": 100}):
        assert {(match["method"], match["path"]["value"]) for match in rule["matches"]} == {
            ("POST", "/invocations"), ("POST", "/v2/models")
        }  # fmt: skip


def test_copies_go_to_the_challenger_alone() -> None:
    default = rules(SHADOW, {"v-a": 100})[-1]
    assert [item["name"] for item in default["backendRefs"]] == ["w-a"]
    mirror = default["filters"][0]["requestMirror"]
    assert (mirror["backendRef"]["name"], mirror["percent"]) == ("w-b", 30)


def test_other_instances_of_a_variant_are_asked_for_by_their_workload() -> None:
    larger = ServingConfig("w-large", Backend("v-a", "w-large"))
    made = rules(larger, {"v-a": 100}, [A])
    assert [rule["matches"][0]["headers"][0]["value"] for rule in made[:-1]] == ["v-a", "w-a"]
    assert rules(larger, {"v-a": 100}, lingering(made, larger)) == made


def test_rules_of_others_are_read_as_far_as_they_go() -> None:
    assert weights([]) == {}
    assert weights([{"matches": [{"path": {"type": "PathPrefix", "value": "/"}}]}]) == {}
    assert weights([{"backendRefs": [{"name": "w-a"}, {"name": "w-x", "weight": 3}]}]) == {"w-a": 1, "w-x": 3}
    assert config_of("p", []) is None
    assert config_of("p", [{"backendRefs": [{"name": "w-a"}]}]) is None
