"""The studio's page on phones, by keys, and for those who cannot see well."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .studio_pages import Desk, NewTab, jpeg, text, until_text

pytestmark = pytest.mark.browser


def test_a_phone_is_invited(desk: Desk, new_tab: NewTab) -> None:
    tab = new_tab(1200, 900)
    desk.open(tab)
    tab.page.click("[aria-label='Use a phone']")
    until_text(tab, "#toasts", "diorama studio --lan")
    desk.stop()
    desk.invite_base = "https://192.168.7.5:7860"
    desk.start()
    tab.page.reload()
    tab.wait("document.body.dataset.ready === '1'")
    tab.page.click(".zone >> text=Use a phone")
    tab.wait("(document.querySelector('.qr')?.naturalWidth ?? 0) > 50")
    assert "https://192.168.7.5:7860/" in text(tab, "dialog") and "token" not in text(tab, "dialog")
    assert re.search(r"works once, for another \d+ min", text(tab, "dialog"))
    tab.page.keyboard.press("Escape")
    assert not tab.page.is_visible("dialog")
    assert "Use a phone" in str(tab.page.evaluate("document.activeElement.innerText"))


def test_a_key_that_is_no_longer_good_is_said(desk: Desk, new_tab: NewTab) -> None:
    tab = new_tab(1200, 900)
    desk.open(tab)
    desk.stop()
    desk.secret = b"t" * 32
    desk.start()
    until_text(tab, ".banner", "This page opens with the link that Diorama printed")


def test_on_a_phone_the_list_comes_first(desk: Desk, new_tab: NewTab, ready: str) -> None:
    tab = new_tab(390, 780, has_touch=True, is_mobile=True)
    desk.open(tab)
    assert tab.page.is_visible(".side") and not tab.page.is_visible("main")
    tab.page.tap("text=Old mill")
    until_text(tab, ".result", "Good")
    assert not tab.page.is_visible(".side")
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= 390
    tab.page.tap("text=All scans")
    tab.page.tap("text=New scan")
    until_text(tab, ".zone", "From this phone")
    assert not tab.page.is_visible("text=Choose a folder")
    assert tab.page.get_attribute("#choose-files", "accept").startswith("video/*,image/*"), "the camera roll"
    small = tab.page.evaluate("""[...document.querySelectorAll("main button")]
        .filter((b) => b.offsetParent !== null && b.getBoundingClientRect().height < 44).length""")
    assert small == 0, "fingers need 44 px"


def test_everything_is_reached_by_keys(desk: Desk, new_tab: NewTab, ready: str) -> None:
    tab = new_tab(1200, 900)
    desk.open(tab)
    tab.page.keyboard.press("Tab")
    assert tab.page.evaluate("document.activeElement.className") == "skip"
    tab.page.keyboard.press("Enter")
    assert tab.page.evaluate("document.activeElement.id") == "main"
    tab.page.focus(".captures a")
    tab.page.keyboard.press("Enter")
    until_text(tab, "h1", "Old mill")
    assert tab.page.evaluate("document.activeElement.tagName") == "H1", "what is new is read out"
    tab.page.focus("[aria-label='More about this capture']")
    tab.page.keyboard.press("Enter")
    assert tab.page.evaluate("document.activeElement.innerText") == "Rename"
    tab.page.keyboard.press("ArrowDown")
    tab.page.keyboard.press("ArrowDown")
    assert tab.page.evaluate("document.activeElement.innerText") == "Rename"
    tab.page.keyboard.press("Escape")
    assert tab.page.get_attribute("[aria-label='More about this capture']", "aria-expanded") == "false"
    assert tab.page.evaluate("document.activeElement.getAttribute('aria-label')") == "More about this capture"


CONTRAST = """() => {
  const parse = (c) => { const m = c.match(/[\\d.]+/g).map(Number); return [m[0], m[1], m[2], m[3] ?? 1]; };
  const linear = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3]));
  const ground = (e) => {
    const layers = [];
    for (let at = e; at; at = at.parentElement) layers.push(parse(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((below, top) => over(top, below), [14, 16, 20]);
  };
  const bad = [];
  for (const e of document.querySelectorAll("#app *")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || e.offsetParent === null || e.closest(":disabled, .recent-item, .tile, .hero")) continue;
    const below = ground(e), text = over(parse(getComputedStyle(e).color), below);
    const [a, b] = [light(text), light(below)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) bad.push(`${e.className || e.tagName} ${e.textContent.trim().slice(0, 20)} ${ratio.toFixed(2)}`);
  }
  return bad;
}"""
UNNAMED = """() => [...document.querySelectorAll("#app button, #app a, #app input, #app select, #app canvas, #app img")]
  .filter((e) => !(e.innerText || "").trim() && !e.getAttribute("aria-label") && !e.labels?.length && !e.hidden
    && e.checkVisibility()
    && !e.hasAttribute("alt") && e.getAttribute("aria-hidden") !== "true").map((e) => e.outerHTML.slice(0, 80))"""


def test_words_can_be_read_and_things_have_names(
    desk: Desk, new_tab: NewTab, ready: str, working: tuple[str, str], photos: list[Path]
) -> None:
    capture, job = working
    desk.jobs.show(job, "refused", "refused-0.jpg", jpeg(), title="IMG_1.jpg", reason="blurred")
    desk.jobs.reach(job, 1, 0.3, warnings=("A warning.",))
    tab = new_tab(1200, 900)
    desk.open(tab)
    for route in ("/new", f"/capture/{ready}", f"/capture/{capture}", "/trash"):
        desk.go(tab, route)
        tab.wait("document.querySelector('main h1') !== null")
        if route == "/new":
            tab.page.set_input_files("#choose-files", photos)
            tab.page.click("summary")
        assert tab.page.evaluate(CONTRAST) == []
        assert tab.page.evaluate(UNNAMED) == []
