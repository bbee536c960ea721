"""The console's charts in a real browser: values, looks, and what is cut off."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from modelstack.cli.console.figure import colours as variant_colours
from tests.cli.browsed import GAP
from tests.cli.driven import press, wait
from tests.simulator.platform import World

pytestmark = [pytest.mark.e2e, pytest.mark.needs("browser")]


TABS = ("", "rollout", "alarms", "registry", "compare")


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
    browser: webdriver.Chrome, address: str, watched: World
) -> None:
    browser.get(address)
    assert readout(browser, "widget-1") == "newest values"
    newest = cells(browser, "widget-1")
    plot = browser.find_element(By.ID, "plot-widget-1")
    ActionChains(browser).move_to_element(plot).perform()
    wait(browser, lambda browser: readout(browser, "widget-1") != "newest values")
    told = readout(browser, "widget-1")
    assert cells(browser, "widget-1") == [requests_at(watched, told), "\u2013"], "v-b had no traffic then"
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
    assert f"champion v-a requests: {requests_at(watched, before)}" in before, "said to who does not see it"
    press(browser, Keys.ESCAPE)
    assert cells(browser, "widget-1") == newest


def test_a_tap_on_a_phone_tells_the_values(
    browser: webdriver.Chrome, address: str, watched: World, look: Callable[[int, str], None]
) -> None:
    look(400, "dark")
    browser.get(address)
    box = browser.find_element(By.CSS_SELECTOR, "#plot-widget-1 .u-over").rect
    at = {"x": box["x"] + box["width"] / 2, "y": box["y"] + 40}
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [at]})
    browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    wait(browser, lambda browser: readout(browser, "widget-1") != "newest values")
    assert cells(browser, "widget-1")[0] == requests_at(watched, readout(browser, "widget-1"))
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})


def test_a_value_that_holds_until_the_next_is_told_between_them(
    browser: webdriver.Chrome, address: str, watched: World
) -> None:
    browser.get(f"{address}rollout")
    begun, first = (event.at for event in watched.state.history if event.kind in {"preparing", "weights"})
    nearly = "return Charts.drawn.get('chart-weights').plot.valToPos(arguments[0], 'x')"
    at = browser.execute_script(nearly, begun + 0.9 * (first - begun))
    over = browser.find_element(By.CSS_SELECTOR, "#plot-weights .u-over")
    ActionChains(browser).move_to_element_with_offset(over, round(at - over.rect["width"] / 2), 0).perform()
    wait(browser, lambda browser: readout(browser, "weights") != "newest values")
    assert cells(browser, "weights") == ["100", "0"]


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
    script = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH_TEXTS})
    for tab in TABS:
        browser.get(address + tab)
        assert browser.execute_script("return innerWidth") == width
        assert browser.execute_script(OUT_OF_SIGHT) == [], tab
        assert tab in {"alarms", "registry"} or browser.execute_script("return window.texts") > 10
        assert browser.execute_script("return window.cut") == [], tab
    browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)


CHAMPION, CHALLENGER = (f"c-{colour}" for colour in variant_colours([["v-a", "v-b"]]).values())
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
    named = [colours[CHAMPION], colours[CHALLENGER]]

    def drawn(page: webdriver.Chrome) -> bool:
        found = page.execute_script(PIXELS, named)
        return min(found.get(colour, 0) for colour in named) > 20

    WebDriverWait(browser, 20).until(drawn, "as they are named, once they are drawn in the other colours")


def test_a_curve_is_not_drawn_where_data_is_missing(browser: webdriver.Chrome, address: str, watched: World) -> None:
    browser.get(address)
    colours: dict[str, str] = browser.execute_script(COLOURS)
    newest = watched.clock.time() // 60 * 60 - 60
    silent = (newest - 60 * GAP[0] + 15, newest - 60 * 9 - 15)  # between two of v-b's points
    drawn = browser.execute_script(PIXELS, [colours[CHAMPION], colours[CHALLENGER]], *silent)
    assert list(drawn) == [colours[CHAMPION]]


def test_a_chart_keeps_its_pointer_and_the_measure_that_was_chosen_while_its_data_goes_on(
    browser: webdriver.Chrome, address: str, watched: World
) -> None:
    browser.get(address)
    browser.find_element(By.CSS_SELECTOR, "#chart-widget-2 tr:nth-child(2) button").click()
    browser.execute_script("document.getElementById('plot-widget-2').focus()")
    press(browser, Keys.END)
    press(browser, Keys.ARROW_LEFT)
    told, canvas = readout(browser, "widget-2"), browser.find_element(By.CSS_SELECTOR, "#chart-widget-2 canvas")
    old = browser.find_element(By.CSS_SELECTOR, "#chart-widget-2 script")
    watched.clock.sleep(1)
    press(browser, "r")
    wait(browser, lambda browser: browser.find_element(By.CSS_SELECTOR, "#chart-widget-2 script") != old)
    assert browser.find_element(By.CSS_SELECTOR, "#chart-widget-2 canvas") == canvas
    assert readout(browser, "widget-2")[:19] == told[:19]
    assert browser.switch_to.active_element.get_attribute("id") == "plot-widget-2"
    shown = "return Charts.drawn.get('chart-widget-2').plot.series.slice(1).map((one) => one.show)"
    assert browser.execute_script(shown) == [False, False, True, True, False, False]
    pressed = browser.find_elements(By.CSS_SELECTOR, "#chart-widget-2 button[aria-pressed=true]")
    assert [button.text for button in pressed] == ["p90"]
    browser.execute_script("arguments[0].focus()", pressed[0])
    press(browser, "r")
    wait(browser, lambda browser: browser.find_elements(By.CSS_SELECTOR, "#chart-widget-2 button")[1] != pressed[0])
    assert browser.switch_to.active_element.text == "p90"


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
