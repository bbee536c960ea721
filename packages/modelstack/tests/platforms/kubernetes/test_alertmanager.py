from __future__ import annotations

from modelstack.platforms.kubernetes.alertmanager import Receiver, alertmanager_config, config, wake_url

WAKE = wake_url("models", "e")
PAGE, TICKET = Receiver(("oncall@example.org",), "pager"), Receiver(secret="tickets")


def test_the_controller_is_woken_first_and_at_once_and_then_people_are_told() -> None:
    assert WAKE == "http://modelstack-controller.models.svc:8081/wake/e"
    told = config("e", "models", page=PAGE)
    (sent,) = told["receivers"][1]["webhook_configs"]
    assert sent["http_config"]["authorization"] == {
        "type": "Bearer",
        "credentials_file": "secrets/models/e-token/token",
    }
    (own,) = told["route"]["routes"]
    assert own["matchers"] == ['namespace="models"', 'endpoint="e"']
    woken, paged = own["routes"]
    assert (woken["matchers"], woken["group_wait"], woken["continue"]) == (['modelstack_wake="true"'], "0s", True)
    assert (paged["matchers"], paged["receiver"]) == (['severity="page"'], "models/e/page")


def test_no_two_endpoints_share_a_receiver_so_that_one_alertmanager_takes_the_routes_of_all() -> None:
    """It refuses two receivers of one name; and a tool that keeps one of both wakes the wrong controller."""
    places = [("models", "e"), ("models", "f"), ("others", "e"), ("models-e", "f"), ("models", "e-f")]
    named = [one["name"] for namespace, name in places for one in config(name, namespace, page=PAGE)["receivers"]]
    assert len(named) == len({*named})


def test_the_operator_is_told_the_same_in_its_own_words() -> None:
    spec = alertmanager_config("e", "models", page=PAGE, ticket=TICKET)
    route = spec["route"]
    assert route["matchers"] == [
        {"name": "namespace", "value": "models", "matchType": "="},
        {"name": "endpoint", "value": "e", "matchType": "="},
    ]
    assert route["groupBy"] == ["namespace", "endpoint", "alertname"]
    assert (route["groupWait"], route["repeatInterval"]) == ("10s", "4h")
    assert [one["receiver"] for one in route["routes"]] == ["controller", "page", "ticket"]
    token = {"authorization": {"type": "Bearer", "credentials": {"name": "e-token", "key": "token"}}}
    woken = {"url": WAKE, "sendResolved": True, "maxAlerts": 1, "httpConfig": token}
    assert spec["receivers"] == [
        {"name": "nobody"},
        {"name": "controller", "webhookConfigs": [woken]},
        {
            "name": "page",
            "webhookConfigs": [{"urlSecret": {"name": "pager", "key": "url"}, "sendResolved": True}],
            "emailConfigs": [{"to": "oncall@example.org", "sendResolved": True}],
        },
        {"name": "ticket", "webhookConfigs": [{"urlSecret": {"name": "tickets", "key": "url"}, "sendResolved": True}]},
    ]


def test_without_people_the_controller_is_woken_all_the_same() -> None:
    assert [one["receiver"] for one in alertmanager_config("e", "models")["route"]["routes"]] == ["controller"]
