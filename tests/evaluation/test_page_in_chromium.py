"""The report of an evaluation in headless Chromium, opened from disk: filter, keys, large view, light and dark.

Skipped in a line where Chromium's driver or selenium is missing. CHROMEDRIVER: the driver (else `chromedriver` on the
path).
"""

from __future__ import annotations

import os
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from instructdiffusion.datasets.synthetic.examples import make_example
from instructdiffusion.evaluation.evaluator import Answered, Case, scene_row
from instructdiffusion.evaluation.reports.gallery import make_cards
from instructdiffusion.evaluation.reports.page import page

DRIVER = os.environ.get("CHROMEDRIVER") or shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(DRIVER is None, reason="no chromedriver: install Chromium and its driver")
TASKS = ("segment", "refer", "denoise")
PER_TASK = 9


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    """A window of 1400 x 1000 pixels."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="no selenium: pip install selenium")
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    for switch in (
        "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--window-size=1400,1000",
        f"--user-data-dir={tmp_path_factory.mktemp('chromium')}",
    ):  # fmt: skip
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    window = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        yield window
    finally:
        window.quit()


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The page of scenes half answered with the truth and half with nothing."""
    cards = []
    for task in TASKS:
        answered = []
        for seed in range(PER_TASK):
            example = make_example(task, seed, split="test")
            truth = example.record.target
            if isinstance(truth, np.ndarray):
                result = truth if seed % 2 else example.source
            else:
                result = truth if seed % 2 else truth[:0]
            case = Case(seed, "scenes", lambda: None, f"scenes {seed}")
            answer = SimpleNamespace(result=result, picture=example.target if seed % 2 else example.source)
            answered.append(Answered(case, example, answer, scene_row(case, example, answer, None)))
        rows = [a.row for a in answered]
        cards += make_cards(task, rows, lambda numbers, of=answered: [of[n] for n in numbers], each=3)
    path = tmp_path_factory.mktemp("report") / "report.html"
    lines = [["", "RefCOCO val"], ["InstructDiffusion (paper)", "61.74"], ["mine", "50.00"]]
    path.write_text(page("a report", [("Table 3: phrases", lines)], cards), encoding="utf-8")
    return path


class Page:
    """The open report."""

    def __init__(self, window, path):
        self.window = window
        window.get("about:blank")
        window.get(f"file://{path}")

    def do(self, script, *arguments):
        return self.window.execute_script(script, *arguments)

    def set(self, **fields):
        for name, value in fields.items():
            self.do(
                "const f = document.forms[0].elements[arguments[0]]; f.value = arguments[1];"
                "document.forms[0].dispatchEvent(new Event('input', {bubbles: true}))",
                name, value,
            )  # fmt: skip

    def wait(self, count):
        """Until `count` answers show: a reset is heard of before the form has its values back."""
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.window, 10).until(lambda _: len(self.shown) == count)

    @property
    def shown(self):
        """(task, kind, rank) of the answers that can be seen, in their order."""
        cards = self.do(
            "return [...document.querySelectorAll('.card')].filter(c => c.checkVisibility()).map(c => ({...c.dataset}))"
        )
        return [(c["task"], c["kind"], float(c["rank"])) for c in cards]

    def press(self, *keys):
        from selenium.webdriver.common.action_chains import ActionChains

        for key in keys:
            ActionChains(self.window).send_keys(key).perform()

    def text(self, selector):
        return self.window.find_element("css selector", selector).text


@pytest.fixture
def opened(chromium, report):
    return Page(chromium, report)


def test_it_opens_from_disk_with_every_picture_and_no_complaint(opened):
    assert len(opened.shown) == 27 and opened.text("output") == "27 of 27 answers"
    assert "61.74" in opened.text(".tables")
    opened.do("document.querySelectorAll('img').forEach(i => i.loading = 'eager')")
    broken = opened.do(
        "return [...document.querySelectorAll('.card img')].filter(i => i.complete && !i.naturalWidth)"
    )
    assert broken == []
    assert [line for line in opened.window.get_log("browser") if line["level"] != "INFO"] == []
    assert opened.do("return document.documentElement.scrollWidth <= innerWidth")


def test_the_filter(opened):
    opened.set(part="refer")
    assert [t for t, _, _ in opened.shown] == ["refer"] * 9 and opened.text("output") == "9 of 27 answers"
    opened.window.find_element("css selector", "input[value=worst]").click()
    assert {(t, k) for t, k, _ in opened.shown} == {("refer", "worst")} and len(opened.shown) == 3
    opened.window.find_element("css selector", ".bar button[type=reset]").click()
    opened.wait(27)
    opened.set(low="50")
    assert 0 < len(opened.shown) < 27 and all(rank >= 50 for _, _, rank in opened.shown)
    opened.set(low="0", high="20", order="best")
    ranks = [rank for _, _, rank in opened.shown]
    assert ranks and max(ranks) <= 20 and ranks == sorted(ranks, reverse=True)
    opened.set(high="100", order="picked", words="denoise noise")
    assert {t for t, _, _ in opened.shown} <= {"denoise"}
    opened.set(words="no such words at all")
    assert opened.shown == [] and "No answer fits" in opened.text(".none")
    opened.window.find_element("css selector", ".none button").click()
    opened.wait(27)
    assert opened.text("output") == "27 of 27 answers"


def test_a_filter_is_kept_in_the_address(opened, chromium, report):
    opened.set(part="segment")
    address = chromium.current_url
    assert address.endswith("#part=segment")
    chromium.get("about:blank")
    chromium.get(address)
    assert {t for t, _, _ in opened.shown} == {"segment"}


def test_keys_reach_everything(opened):
    from selenium.webdriver.common.keys import Keys

    opened.press("/")
    assert opened.do("return document.activeElement.name") == "words"
    opened.press(Keys.ESCAPE, "j", "j")
    places = "return document.activeElement.closest('.card').dataset.place"
    assert opened.do(places) == "1"
    opened.press("k")
    assert opened.do(places) == "0"
    assert opened.do("return getComputedStyle(document.activeElement).outlineStyle") != "none"
    opened.press(Keys.ENTER)
    assert opened.do("return document.querySelector('dialog').open")
    first = opened.text("dialog footer [aria-pressed=true]")
    opened.press("3")
    assert first == "1 source" and opened.text("dialog footer [aria-pressed=true]") == "3 answer"
    before = opened.text("dialog p")
    opened.press(Keys.ARROW_DOWN)
    assert opened.text("dialog p") != before
    assert (
        opened.text("dialog footer [aria-pressed=true]") == "3 answer"
    )  # the same picture of another answer
    size = opened.do(
        "const r = document.querySelector('.stage img').getBoundingClientRect(); return [r.width, r.height]"
    )
    assert min(size) > 500
    opened.press(Keys.ESCAPE)
    assert not opened.do("return document.querySelector('dialog').open") and opened.do(places) == "1"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_words_can_be_read_in_light_and_dark(opened, theme):
    opened.window.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": theme}]}
    )
    script = """
        const linear = v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
        const luminance = c => { const [r, g, b] = c.match(/[0-9.]+/g).slice(0, 3).map(v => linear(v / 255));
            return .2126 * r + .7152 * g + .0722 * b; };
        const ground = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
            if (!/, 0\\)|transparent/.test(c)) return c; } return 'rgb(255,255,255)'; };
        return ['h1', 'td', 'th', '.kind.worst', '.kind.best', '.kind.random', '.score', '.words-asked', '.rank',
                '.top', '.pictures button', '.bar label', '.foot', 'kbd'].map(s => {
            const e = document.querySelector(s);
            const [a, b] = [getComputedStyle(e).color, ground(e)].map(luminance).sort((x, y) => y - x);
            return [s, (a + .05) / (b + .05)]; });"""
    try:
        contrast = dict(opened.do(script))
        dark = opened.do("return getComputedStyle(document.body).backgroundColor")
    finally:
        opened.window.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert (sum(map(int, dark[4:-1].split(","))) < 200) == (theme == "dark")
    assert min(contrast.values()) >= 4.5, contrast
    opened.window.find_element("id", "theme").click()  # the other one, by hand
    assert opened.do("return getComputedStyle(document.body).backgroundColor")


def test_a_narrow_window_has_no_sideways_scrolling(opened):
    opened.window.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True},
    )
    try:
        assert opened.do("return document.documentElement.scrollWidth <= innerWidth")
    finally:
        opened.window.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
