"""Drives the console in a browser."""

from __future__ import annotations

from collections.abc import Callable

from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

PATIENCE = 200  # seconds


def wait(browser: webdriver.Chrome, shown: Callable[[webdriver.Chrome], object]) -> None:
    WebDriverWait(browser, PATIENCE).until(shown)


def press(browser: webdriver.Chrome, key: str) -> None:
    browser.switch_to.active_element.send_keys(key)
