"""The console in a real browser: its pages, its keys, and how they are read again."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from modelstack.cli.console.pages import Pages
from modelstack.cli.console.serve import ConsoleServer
from tests.cli.browsed import PANELS, pages
from tests.cli.driven import PATIENCE, press, wait
from tests.simulator.platform import World

pytestmark = [pytest.mark.e2e, pytest.mark.needs("browser")]


def here(browser: webdriver.Chrome) -> str:
    return browser.find_element(By.CSS_SELECTOR, "nav a[aria-current]").text.split()[0]


def test_every_page_opens_by_its_key_without_an_error(browser: webdriver.Chrome, address: str) -> None:
    browser.get_log("browser")  # of the tests before
    browser.get(address)
    assert here(browser) == "Dashboard"
    for key, name in (("2", "Rollout"), ("3", "Alarms"), ("4", "Registry"), ("5", "Compare"), ("1", "Dashboard")):
        press(browser, key)
        wait(browser, lambda browser, name=name: here(browser) == name)
        assert browser.find_elements(By.CSS_SELECTOR, "main .problem") == []
    assert [entry["message"] for entry in browser.get_log("browser")] == []


def test_the_tab_key_reaches_the_content_and_what_can_be_opened(browser: webdriver.Chrome, address: str) -> None:
    browser.get(f"{address}alarms")
    for _ in range(20):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        if browser.switch_to.active_element.tag_name == "summary":
            break
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    assert browser.find_element(By.CSS_SELECTOR, "details[open]").is_displayed()
    assert "Missing data: notBreaching" in browser.find_element(By.TAG_NAME, "main").text


def test_a_page_shows_what_changes_and_keeps_what_is_open_and_in_focus(
    browser: webdriver.Chrome, address: str, watched: World
) -> None:
    browser.get(f"{address}rollout")
    assert "On trial" in browser.find_element(By.TAG_NAME, "main").text
    watched.controller().follow(1500)
    press(browser, "r")
    wait(browser, lambda browser: "On trial" not in browser.find_element(By.TAG_NAME, "main").text)
    assert "Last verdict: promoted\nb at " in browser.find_element(By.TAG_NAME, "main").text
    browser.get(f"{address}registry")
    summary = browser.find_element(By.TAG_NAME, "summary")
    summary.click()
    press(browser, "r")
    wait(browser, lambda browser: browser.find_element(By.TAG_NAME, "summary") != summary)
    assert browser.find_elements(By.CSS_SELECTOR, "details[open]")
    assert browser.switch_to.active_element.tag_name == "summary"


def test_an_alarm_that_fires_leads_to_its_history(browser: webdriver.Chrome, address: str) -> None:
    browser.get(address)
    browser.find_element(By.CSS_SELECTOR, "a.pill.alarm").click()
    wait(browser, lambda browser: here(browser) == "Alarms")
    assert "Alarm updated from OK to ALARM" in browser.find_element(By.CSS_SELECTOR, "tr:target details[open]").text


def test_a_console_that_is_gone_is_said_and_the_last_page_stays(
    browser: webdriver.Chrome, watched: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ConsoleServer(pages(watched, monkeypatch, *PANELS), 0).background() as address:
        browser.get(f"{address}rollout")
    press(browser, "r")
    wait(browser, lambda browser: "does not answer" in browser.find_element(By.ID, "news").text)
    assert "On trial" in browser.find_element(By.TAG_NAME, "main").text


# --- refreshes


COUNT_READS = """
window.reads = { now: 0, most: 0, all: 0 };
const real = window.fetch;
window.fetch = async (...given) => {
  reads.all += 1;
  reads.now += 1;
  reads.most = Math.max(reads.most, reads.now);
  try { return await real(...given); } finally { reads.now -= 1; }
};
"""


def test_a_page_is_never_read_twice_at_once(
    browser: webdriver.Chrome, address: str, served: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser.get(f"{address}rollout")
    browser.execute_script(COUNT_READS)
    real, asked, goes_on = served.rollout, threading.Event(), threading.Event()

    def slow() -> dict[str, Any]:
        asked.set()
        assert goes_on.wait(PATIENCE)
        return real()

    monkeypatch.setattr(served, "rollout", slow)
    for _ in range(5):
        press(browser, "r")
    assert asked.wait(PATIENCE)
    goes_on.set()
    wait(browser, lambda browser: browser.execute_script("return reads.now") == 0)
    press(browser, "r")
    wait(browser, lambda browser: browser.execute_script("return reads.all > 1 && reads.now === 0"))
    assert browser.execute_script("return reads.most") == 1


def test_only_what_changes_is_announced(browser: webdriver.Chrome, address: str, watched: World) -> None:
    browser.get(f"{address}rollout")
    live = browser.find_elements(
        By.CSS_SELECTOR, "[role=status], [role=alert], [aria-live=polite], [aria-live=assertive]"
    )
    assert [element.get_attribute("id") for element in live] == ["said"]
    for _ in range(2):
        old = browser.find_element(By.CSS_SELECTOR, "main script")
        press(browser, "r")
        wait(browser, lambda browser, old=old: browser.find_element(By.CSS_SELECTOR, "main script") != old)
        assert browser.find_element(By.ID, "said").get_property("textContent") == ""
    watched.controller().follow(1500)
    press(browser, "r")
    wait(browser, lambda browser: browser.find_element(By.ID, "said").get_property("textContent").startswith("idle"))
