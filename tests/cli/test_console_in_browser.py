"""The console in a real browser: Debian's Chromium, driven by its own driver."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from cli.console.serve import Serving
from tests.cli.browsed import REQUESTS, pages
from tests.simulator.platform import World

pytestmark = [pytest.mark.e2e, pytest.mark.needs("browser")]
PATIENCE = 60  # seconds


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    """Chromium without a window."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,1000"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    made = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    yield made
    made.quit()


@pytest.fixture
def world(begin: Callable[..., World]) -> World:
    return begin(seconds=90)


@pytest.fixture
def address(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The console of the world, served on a port of its own."""
    with Serving(pages(world, monkeypatch, REQUESTS), 0).background() as address:
        yield address


def wait(browser: webdriver.Chrome, shown: Callable[[webdriver.Chrome], object]) -> None:
    WebDriverWait(browser, PATIENCE).until(shown)


def here(browser: webdriver.Chrome) -> str:
    return browser.find_element(By.CSS_SELECTOR, "nav a[aria-current]").text.split()[0]


def press(browser: webdriver.Chrome, key: str) -> None:
    browser.switch_to.active_element.send_keys(key)


def test_every_page_opens_by_its_key_without_an_error(browser: webdriver.Chrome, address: str) -> None:
    browser.get(address)
    assert here(browser) == "Dashboard"
    for key, name in (("2", "Rollout"), ("3", "Alarms"), ("4", "Registry"), ("1", "Dashboard")):
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
    browser: webdriver.Chrome, address: str, world: World
) -> None:
    browser.get(f"{address}rollout")
    assert "On trial" in browser.find_element(By.TAG_NAME, "main").text
    world.controller().follow(1500)
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


def test_an_alarm_that_rings_leads_to_its_history(browser: webdriver.Chrome, address: str) -> None:
    browser.get(address)
    browser.find_element(By.CSS_SELECTOR, "a.pill.alarm").click()
    wait(browser, lambda browser: here(browser) == "Alarms")
    assert "Alarm updated from OK to ALARM" in browser.find_element(By.CSS_SELECTOR, "tr:target details[open]").text


def test_a_console_that_is_gone_is_said_and_the_last_page_stays(
    browser: webdriver.Chrome, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Serving(pages(world, monkeypatch, REQUESTS), 0).background() as address:
        browser.get(f"{address}rollout")
    press(browser, "r")
    wait(browser, lambda browser: "does not answer" in browser.find_element(By.ID, "news").text)
    assert "On trial" in browser.find_element(By.TAG_NAME, "main").text
