"""The console in a real browser: Debian's Chromium, driven by its own driver."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from cli.console.pages import Pages
from cli.console.serve import Serving
from tests.cli.browsed import GAP, pages, searched
from tests.simulator.platform import World

pytestmark = [pytest.mark.e2e, pytest.mark.needs("browser")]
PATIENCE = 60  # seconds
TABS = ("", "rollout", "alarms", "registry", "compare")
WIDGETS = (
    searched("Requests", "requests", "Invocations"),
    searched("Model latency", "ms", "p50", "p90", "p99"),
    searched("Accuracy", "share of answers", "Accuracy", "AccuracyLow", "AccuracyHigh"),
    searched("Distance", "distance", *(f"a_feature_with_a_long_name_{number}" for number in range(8))),
    searched("What happened", "events", "Events"),
    searched("Of three versions", "requests", "1More"),
    searched("Of five versions", "requests that were answered", "3More", "other3More"),
)


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
def served(world: World, monkeypatch: pytest.MonkeyPatch) -> Pages:
    return pages(world, monkeypatch, *WIDGETS)


@pytest.fixture
def address(served: Pages) -> Iterator[str]:
    """The console of the world, served on a port of its own."""
    with Serving(served, 0).background() as address:
        yield address


@pytest.fixture
def look(browser: webdriver.Chrome) -> Iterator[Callable[[int, str], None]]:
    """Makes the window so wide, and the light `light` or `dark`; undone afterwards."""

    def make(width: int, scheme: str) -> None:
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        feature = {"name": "prefers-color-scheme", "value": scheme}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    yield make
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def wait(browser: webdriver.Chrome, shown: Callable[[webdriver.Chrome], object]) -> None:
    WebDriverWait(browser, PATIENCE).until(shown)


def here(browser: webdriver.Chrome) -> str:
    return browser.find_element(By.CSS_SELECTOR, "nav a[aria-current]").text.split()[0]


def press(browser: webdriver.Chrome, key: str) -> None:
    browser.switch_to.active_element.send_keys(key)


def test_every_page_opens_by_its_key_without_an_error(browser: webdriver.Chrome, address: str) -> None:
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
    with Serving(pages(world, monkeypatch, *WIDGETS), 0).background() as address:
        browser.get(f"{address}rollout")
    press(browser, "r")
    wait(browser, lambda browser: "does not answer" in browser.find_element(By.ID, "news").text)
    assert "On trial" in browser.find_element(By.TAG_NAME, "main").text


# --- charts


def cells(browser: webdriver.Chrome, chart: str) -> list[str]:
    return [cell.text for cell in browser.find_elements(By.CSS_SELECTOR, f"#chart-{chart} [data-curve]")]


def readout(browser: webdriver.Chrome, chart: str) -> str:
    return browser.find_element(By.CSS_SELECTOR, f"#chart-{chart} .readout").get_property("textContent")


def requests_at(world: World, text: str) -> str:
    """The champion's value in the console's world at a time that a chart tells."""
    newest = world.clock.time() // 60 * 60 - 60
    at = datetime.fromisoformat(text[:19]).replace(tzinfo=UTC).timestamp()
    return f"{40 + (39 - (newest - at) / 60) / 100:.4g}"


def test_a_chart_tells_the_values_under_the_pointer_and_by_the_arrow_keys(
    browser: webdriver.Chrome, address: str, world: World
) -> None:
    browser.get(address)
    assert readout(browser, "widget-1") == "newest values"
    newest = cells(browser, "widget-1")
    plot = browser.find_element(By.ID, "plot-widget-1")
    ActionChains(browser).move_to_element(plot).perform()
    wait(browser, lambda browser: readout(browser, "widget-1") != "newest values")
    told = readout(browser, "widget-1")
    assert cells(browser, "widget-1") == [requests_at(world, told), "\u2013"], "v-b had no traffic then"
    assert cells(browser, "widget-6")[2] == "\u2013", "nor had one whose values begin later"
    assert readout(browser, "widget-2")[:19] == told[:19], "the pointer is at the same time in every chart"
    ActionChains(browser).move_to_element(browser.find_element(By.TAG_NAME, "h1")).perform()
    browser.execute_script("arguments[0].focus()", plot)
    press(browser, Keys.END)
    press(browser, Keys.ARROW_LEFT)
    last = readout(browser, "widget-1")
    press(browser, Keys.ARROW_LEFT)
    before = readout(browser, "widget-1")
    assert datetime.fromisoformat(last[:19]) - datetime.fromisoformat(before[:19]) == timedelta(minutes=1)
    assert f"champion v-a requests: {requests_at(world, before)}" in before, "said to who does not see it"
    press(browser, Keys.ESCAPE)
    assert cells(browser, "widget-1") == newest


def test_a_tap_on_a_phone_tells_the_values(
    browser: webdriver.Chrome, address: str, world: World, look: Callable[[int, str], None]
) -> None:
    look(400, "dark")
    browser.get(address)
    box = browser.find_element(By.CSS_SELECTOR, "#plot-widget-1 .u-over").rect
    at = {"x": box["x"] + box["width"] / 2, "y": box["y"] + 40}
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [at]})
    browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    wait(browser, lambda browser: readout(browser, "widget-1") != "newest values")
    assert cells(browser, "widget-1")[0] == requests_at(world, readout(browser, "widget-1"))
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})


def test_an_interval_and_what_happened_are_told_too(browser: webdriver.Chrome, address: str) -> None:
    browser.get(address)
    browser.execute_script("document.getElementById('plot-widget-3').focus()")
    press(browser, Keys.END)
    press(browser, Keys.ARROW_LEFT)
    assert re.fullmatch(r"[\d.]+ \([\d.]+ to [\d.]+\)", cells(browser, "widget-3")[0])
    browser.get(f"{address}rollout")
    browser.execute_script("document.getElementById('plot-weights').focus()")
    for _ in range(2):
        press(browser, Keys.HOME)
        press(browser, Keys.ARROW_RIGHT)
        press(browser, Keys.ARROW_RIGHT)
    assert "b gets 10%" in readout(browser, "weights")


OUT_OF_SIGHT = """
const cut = [], wide = document.documentElement.scrollWidth;
if (wide > innerWidth) cut.push(`the page is ${wide} wide, of ${innerWidth}`);
const shown = ".legend th, .legend td, .cards tbody td, .cards tbody th, .axis, .steps li, .hours a";
for (const one of document.querySelectorAll(shown)) {
  const around = one.closest(".widget, main > section, form, body").getBoundingClientRect();
  const box = one.getBoundingClientRect(), told = one.textContent.trim();
  if (!box.width) continue;
  if (box.right > around.right + 1 || box.left < around.left - 1) cut.push(`${told}: ${box.right} of ${around.right}`);
  if (one.scrollWidth > one.clientWidth + 1 && one.clientWidth) cut.push(`${told}: holds ${one.scrollWidth}`);
  if (getComputedStyle(one.closest("table") ?? one).overflow !== "visible") cut.push(`${told}: it scrolls`);
}
return cut;
"""


WATCH_TEXTS = """
window.cut = [], window.texts = 0;
const real = CanvasRenderingContext2D.prototype.fillText;
CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
  const { width } = this.measureText(text), { e, f } = this.getTransform();
  const left = x + e - { center: width / 2, right: width, end: width }[this.textAlign] || x + e;
  window.texts += 1;
  if (left < 0 || left + width > this.canvas.width + 1 || y + f > this.canvas.height) window.cut.push(text);
  return real.apply(this, arguments);
};
"""


@pytest.mark.parametrize("width", [1280, 400])
def test_nothing_is_cut_off(
    browser: webdriver.Chrome, address: str, look: Callable[[int, str], None], width: int
) -> None:
    look(width, "light")
    watched = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH_TEXTS})
    for tab in TABS:
        browser.get(address + tab)
        assert browser.execute_script("return innerWidth") == width
        assert browser.execute_script(OUT_OF_SIGHT) == [], tab
        assert tab in {"alarms", "registry"} or browser.execute_script("return window.texts") > 10
        assert browser.execute_script("return window.cut") == [], tab
    browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", watched)


COLOURS = """
const rules = [...document.styleSheets].flatMap((sheet) => [...sheet.cssRules]);
const names = [...rules.find((rule) => rule.selectorText === ":root").style].filter((name) => name.startsWith("--"));
const style = getComputedStyle(document.documentElement);
return Object.fromEntries(names.map((name) => [name.slice(2), style.getPropertyValue(name).trim()]));
"""
PIXELS = """
const canvas = document.querySelector("#chart-widget-1 canvas"), [wanted, from, to] = arguments;
const { plot } = Charts.drawn.get("chart-widget-1");
const [left, right] = from ? [from, to].map((at) => plot.valToPos(at, "x", true)) : [0, canvas.width];
const { data } = canvas.getContext("2d").getImageData(left, 0, right - left, canvas.height);
const found = {};
for (let at = 0; at < data.length; at += 4) {
  const colour = "#" + [...data.slice(at, at + 3)].map((part) => part.toString(16).padStart(2, "0")).join("");
  if (data[at + 3] === 255 && wanted.includes(colour)) found[colour] = (found[colour] ?? 0) + 1;
}
return found;
"""


def luminance(colour: str) -> float:
    """The relative luminance of `#rrggbb`. Source: WCAG 2.2, relative luminance."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours. Source: WCAG 2.2, contrast ratio."""
    dark, light = sorted(map(luminance, (one, other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_curves_stand_out_from_their_paper(
    browser: webdriver.Chrome, address: str, look: Callable[[int, str], None], scheme: str
) -> None:
    look(1280, "dark" if scheme == "light" else "light")
    browser.get(address)
    look(1280, scheme)  # while it is open
    colours: dict[str, str] = browser.execute_script(COLOURS)
    assert (luminance(colours["paper"]) > 0.5) is (scheme == "light")
    least = {name: 3.0 if name.startswith("c-") else 4.5 for name in colours if name not in {"line", "paper", "board"}}
    papers = {name: ["paper"] if name.startswith("c-") else ["paper", "board"] for name in least}
    low = {
        (name, paper): round(ratio, 2)
        for name, wanted in least.items()
        for paper in papers[name]
        if (ratio := contrast(colours[name], colours[paper])) < wanted
    }
    assert len(least) > 15
    assert low == {}
    drawn = browser.execute_script(PIXELS, [colours["c-champion"], colours["c-challenger"]])
    assert min(drawn.get(colours[f"c-{role}"], 0) for role in ("champion", "challenger")) > 20, "as they are named"


def test_a_curve_is_not_drawn_where_data_is_missing(browser: webdriver.Chrome, address: str, world: World) -> None:
    browser.get(address)
    colours: dict[str, str] = browser.execute_script(COLOURS)
    newest = world.clock.time() // 60 * 60 - 60
    silent = (newest - 60 * GAP[0] + 15, newest - 60 * 9 - 15)  # between two of v-b's points
    drawn = browser.execute_script(PIXELS, [colours["c-champion"], colours["c-challenger"]], *silent)
    assert list(drawn) == [colours["c-champion"]]


def test_a_chart_keeps_its_pointer_and_the_measure_that_was_chosen_while_its_data_goes_on(
    browser: webdriver.Chrome, address: str, world: World
) -> None:
    browser.get(address)
    browser.find_element(By.CSS_SELECTOR, "#chart-widget-2 tr:nth-child(2) button").click()
    browser.execute_script("document.getElementById('plot-widget-2').focus()")
    press(browser, Keys.END)
    press(browser, Keys.ARROW_LEFT)
    told, canvas = readout(browser, "widget-2"), browser.find_element(By.CSS_SELECTOR, "#chart-widget-2 canvas")
    old = browser.find_element(By.CSS_SELECTOR, "#chart-widget-2 script")
    world.clock.sleep(1)
    press(browser, "r")
    wait(browser, lambda browser: browser.find_element(By.CSS_SELECTOR, "#chart-widget-2 script") != old)
    assert browser.find_element(By.CSS_SELECTOR, "#chart-widget-2 canvas") == canvas
    assert readout(browser, "widget-2")[:19] == told[:19]
    assert browser.switch_to.active_element.get_attribute("id") == "plot-widget-2"
    shown = "return Charts.drawn.get('chart-widget-2').plot.series.slice(1).map((one) => one.show)"
    assert browser.execute_script(shown) == [False, False, True, True, False, False]
    pressed = browser.find_elements(By.CSS_SELECTOR, "#chart-widget-2 button[aria-pressed=true]")
    assert [button.text for button in pressed] == ["p90"]


def test_dragging_over_a_chart_asks_for_that_time(browser: webdriver.Chrome, address: str) -> None:
    browser.get(address)
    plot = browser.find_element(By.CSS_SELECTOR, "#plot-widget-1 .u-over")
    ActionChains(browser).move_to_element_with_offset(plot, -60, 0).click_and_hold().move_by_offset(
        120, 0
    ).release().perform()
    wait(browser, lambda browser: "from=" in browser.current_url)
    given = parse_qs(urlsplit(browser.current_url).query)
    begin, end = (datetime.fromisoformat(given[name][0]) for name in ("from", "to"))
    assert timedelta(minutes=5) < end - begin < timedelta(minutes=30)
    assert browser.find_elements(By.CSS_SELECTOR, "main .problem") == []


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


def test_only_what_changes_is_announced(browser: webdriver.Chrome, address: str, world: World) -> None:
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
    world.controller().follow(1500)
    press(browser, "r")
    wait(browser, lambda browser: browser.find_element(By.ID, "said").get_property("textContent").startswith("idle"))
