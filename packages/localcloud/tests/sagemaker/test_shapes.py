"""Values against botocore shapes, in AWS's words."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
from botocore.loaders import create_loader
from botocore.model import DenormalizedStructureBuilder, ServiceModel, ShapeResolver
from hypothesis import given
from hypothesis import strategies as st

from localcloud.server.patterns import compile_pattern
from localcloud.server.shapes import fits, summary, validate

LIST = {"type": "list", "member": {"shape": "S"}}
MAP = {"type": "map", "key": {"shape": "S"}, "value": {"shape": "S"}}
LONG = "Member must have length less than or equal to 3"


def shape(definition, **others):
    return ShapeResolver({"Root": definition, **others}).get_shape_by_name("Root")


def structure(required=(), **members):
    return shape(
        {
            "type": "structure",
            "required": list(required),
            "members": {name: {"shape": name} for name in members},
        },
        **members,
    )


@pytest.fixture(scope="module")
def sagemaker() -> ServiceModel:
    return ServiceModel(create_loader().load_service_model("sagemaker", "service-2"), "sagemaker")


def test_a_value_that_keeps_every_constraint_has_no_messages(sagemaker):
    request = {
        "EndpointConfigName": "config",
        "ProductionVariants": [
            {
                "VariantName": "v",
                "ModelName": "m",
                "InstanceType": "ml.m5.large",
                "InitialInstanceCount": 1,
                "InitialVariantWeight": 0.5,
            }
        ],
        "Tags": [{"Key": "über", "Value": "größe 1/2"}],
        "DataCaptureConfig": None,
    }
    assert validate(sagemaker.operation_model("CreateEndpointConfig").input_shape, request) == []


def test_several_broken_constraints_are_told_at_once_with_their_paths(sagemaker):
    messages = validate(
        sagemaker.operation_model("CreateEndpointConfig").input_shape,
        {
            "EndpointConfigName": "c",
            "ProductionVariants": [{"ModelName": "ENTER MODEL NAME", "InitialInstanceCount": 0}],
        },
    )
    pattern = r"[a-zA-Z0-9]([\-a-zA-Z0-9]*[a-zA-Z0-9])?"
    assert messages == [
        "Value null at 'productionVariants.1.member.variantName' failed to satisfy constraint: Member must not be null",
        "Value 'ENTER MODEL NAME' at 'productionVariants.1.member.modelName' failed to satisfy constraint: "
        f"Member must satisfy regular expression pattern: {pattern}",
        "Value '0' at 'productionVariants.1.member.initialInstanceCount' failed to satisfy constraint: "
        "Member must have value greater than or equal to 1",
    ]
    assert summary(messages).startswith("3 validation errors detected: Value null at")
    assert summary(messages[:1]).startswith("1 validation error detected: Value null at")


@pytest.mark.parametrize(
    ("kind", "good", "bad", "constraint"),
    [
        ({"type": "string", "min": 2}, "ab", "a", "Member must have length greater than or equal to 2"),
        ({"type": "string", "max": 2}, "ab", "abc", "Member must have length less than or equal to 2"),
        ({"type": "string", "enum": ["A", "B"]}, "A", "a", "Member must satisfy enum value set: [A, B]"),
        ({"type": "string", "pattern": "a+"}, "aa", "aab", "Member must satisfy regular expression pattern: a+"),
        ({"type": "string", "pattern": "^a+$"}, "aa", "aa\n", "Member must satisfy regular expression pattern: ^a+$"),
        ({"type": "string"}, "a", 1, "Member must be a string"),
        ({"type": "integer", "min": 1}, 1, 0, "Member must have value greater than or equal to 1"),
        ({"type": "integer", "max": 9}, 9, 10, "Member must have value less than or equal to 9"),
        ({"type": "integer"}, 1, 1.5, "Member must be an integer"),
        ({"type": "integer"}, 1, True, "Member must be an integer"),
        ({"type": "integer"}, 2**31 - 1, 2**31, "Member must be an integer of 32 bits"),
        ({"type": "long"}, 2**31, "1", "Member must be an integer"),
        ({"type": "float", "min": 0}, 0, -0.1, "Member must have value greater than or equal to 0"),
        ({"type": "double"}, 1, float("nan"), "Member must be a finite number"),
        ({"type": "boolean"}, False, 0, "Member must be a boolean"),
        ({"type": "timestamp"}, 1.5, "soon", "Member must be a timestamp (epoch seconds or ISO 8601)"),
        ({"type": "timestamp"}, datetime.now(UTC), True, "Member must be a timestamp (epoch seconds or ISO 8601)"),
        ({"type": "timestamp"}, "2024-01-01T00:00:00Z", [], "Member must be a timestamp (epoch seconds or ISO 8601)"),
        ({"type": "blob", "max": 2}, b"ab", b"abc", "Member must have length less than or equal to 2"),
        ({"type": "blob"}, base64.b64encode(b"a").decode(), "%", "Member must be a base64 string"),
        ({**LIST, "min": 1}, ["a"], [], "Member must have length greater than or equal to 1"),
        (LIST, ["a"], ["abcd"], f"Member must satisfy constraint: [{LONG}]"),
        (LIST, [], {"a": 1}, "Member must be a list"),
        (MAP, {"a": "b"}, {"abcd": "b"}, f"Map keys must satisfy constraint: [{LONG}]"),
        (MAP, {"a": "b"}, {"a": 1}, "Map value must satisfy constraint: [Member must be a string]"),
        ({**MAP, "max": 1}, {}, {"a": "b", "c": "d"}, "Member must have length less than or equal to 1"),
    ],
)
def test_each_kind_of_constraint_is_checked(kind, good, bad, constraint):
    root = structure(Thing=kind, S={"type": "string", "max": 3})
    assert validate(root, {"Thing": good}) == []
    (message,) = validate(root, {"Thing": bad})
    assert message.endswith(f" at 'thing' failed to satisfy constraint: {constraint}")


def test_unknown_members_are_named_with_the_known_ones():
    (message,) = validate(structure(Name={"type": "string"}), {"Nmae": "x"})
    assert message == "Member 'nmae' is not known; Root has Name"


def test_a_union_has_exactly_one_member():
    root = shape(
        {"type": "structure", "union": True, "members": {"A": {"shape": "S"}, "B": {"shape": "S"}}},
        S={"type": "string"},
    )
    assert validate(root, {"A": "x"}) == []
    assert validate(root, {}) != []
    assert validate(root, {"A": "x", "B": "y"}) != []


def test_the_value_of_a_sensitive_member_is_not_shown():
    (message,) = validate(structure(Secret={"type": "string", "sensitive": True, "max": 2}), {"Secret": "abc"})
    assert message == "Value at 'secret' failed to satisfy constraint: Member must have length less than or equal to 2"


def test_an_operation_without_members_takes_only_an_empty_document():
    assert validate(None, {}) == []
    assert validate(None, {"A": 1}) != []


def test_botocores_own_builder_and_a_recursive_shape_work():
    built = DenormalizedStructureBuilder().with_members({"A": {"type": "string"}}).build_model()
    assert validate(built, {"A": "x"}) == []
    root = shape(
        {"type": "structure", "members": {"Next": {"shape": "Root"}, "N": {"shape": "N"}}}, N={"type": "integer"}
    )
    (message,) = validate(root, {"Next": {"Next": {"N": "x"}}})
    assert "'next.next.n'" in message


@pytest.mark.parametrize("service", ["sagemaker", "sagemaker-runtime", "cloudwatch", "logs", "lambda", "ecr"])
def test_every_pattern_of_the_service_models_can_be_read(service):
    model = ServiceModel(create_loader().load_service_model(service, "service-2"), service)
    patterns = {model.shape_for(name).metadata.get("pattern") for name in model.shape_names} - {None}
    assert patterns
    assert all(compile_pattern(pattern).groups >= 0 for pattern in patterns)


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        (r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*", "Größe 12", "a#"),
        (r"\p{ASCII}*", "abc", "ä"),
        (r"\A\S[\p{Print}]*\z", "ab c", "ab\x07"),
        (r"([a-z]*)${1,128}", "abc", "ABC"),
        (r"[\w-_]*", "a-b_c", "a+b"),
        (r"[\uD800\uDC00-\uDBFF\uDFFF]*", "\U0001f600", "a"),
        (r"\P{L}+", "12", "a"),
    ],
)
def test_java_patterns_match_as_java_does(pattern, good, bad):
    assert compile_pattern(pattern).fullmatch(good)
    assert not compile_pattern(pattern).fullmatch(bad)


def test_a_pattern_that_cannot_be_read_is_named():
    with pytest.raises(ValueError, match=r"p\{Nonsense\}"):
        compile_pattern(r"\p{Nonsense}")


@given(st.text(max_size=70))
def test_a_name_passes_exactly_when_it_is_a_name(name):
    pattern = "[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"
    root = structure(Name={"type": "string", "max": 63, "pattern": pattern})
    letters = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
    is_name = bool(name) and len(name) <= 63 and set(name) <= letters | {"-"} and name[0] != "-" and name[-1] != "-"
    assert (validate(root, {"Name": name}) == []) == is_name


@pytest.mark.parametrize(
    "limits",
    [
        {},
        {"min": 1, "max": 3},
        {"pattern": "^[a-b](-*[a-b])*"},
        {"min": 2, "pattern": r"\A\S[\p{Print}]*\z"},
        {"enum": ["a", "ab"]},
    ],
)
@given(text=st.text(alphabet="ab- \n\x7fé", max_size=5))
def test_the_quick_test_of_a_text_says_what_its_messages_say(limits, text):
    one = shape({"type": "string", **limits})
    assert fits(one)(text) == (not validate(one, text))
