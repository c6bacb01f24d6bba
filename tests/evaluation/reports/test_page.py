"""The page is one file, takes nothing from outside, and shows words as words."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from instructdiffusion.evaluation.reports.gallery import Card
from instructdiffusion.evaluation.reports.page import page
from instructdiffusion.evaluation.reports.page_style import SCRIPT

URI = "data:image/png;base64,AAAA"
EVIL = "</script><img src=x onerror=alert(1)> & \"quoted\" 'single'"


class Reader(HTMLParser):
    """Tags in order, their attributes, and the text between."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.text = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "img", "input", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, (tag, self.open)
        self.open.pop()

    def handle_data(self, data):
        self.text.append(data)


def card(number, **more):
    fields = {
        "part": "refcoco val", "task": "refer", "kind": "worst", "name": f"ref {number}", "words": "the left cup",
        "score": "IoU 0.10", "rank": 3.5, "facts": ("empty answer",), "pictures": (("source", URI), ("truth", URI)),
    }  # fmt: skip
    return Card(**{**fields, **more})


def test_every_tag_is_closed_and_nothing_comes_from_outside():
    text = page(
        "a title", [("Table 3: x", [["", "a"], ["mine", "1"]]), ("Figures", [["b"], ["2"]])], [card(1)]
    )
    found = Reader(text)
    assert found.open == [] and text.startswith("<!doctype html>")
    addresses = [v for _, a in found.tags for k, v in a.items() if k in ("src", "href") and v]
    assert addresses and all(v.startswith("data:") for v in addresses)
    assert not re.search(r"https?://|url\(|@import", text)
    assert not [k for _, a in found.tags for k in a if k.startswith("on")]
    policy = next(a["content"] for t, a in found.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'") and "script-src 'sha256-" in policy
    assert [t for t, _ in found.tags].count("script") == 1


def test_words_of_others_stay_words():
    text = page(
        EVIL, [(EVIL, [[EVIL], [EVIL]])], [card(1, words=EVIL, name=EVIL, part=EVIL, facts=(EVIL,))], EVIL
    )
    found = Reader(text)
    assert found.open == []
    assert [a.get("src") for t, a in found.tags if t == "img"] == [URI, URI, None]
    assert [t for t, _ in found.tags].count("script") == 1
    assert EVIL in found.text


def test_cards_carry_what_the_filter_asks_for():
    text = page("t", [], [card(1), card(2, kind="best", rank=90.0, part="coco val", task="keypoints")])
    cards = [a for t, a in Reader(text).tags if t == "article"]
    assert [(c["data-part"], c["data-kind"], c["data-rank"]) for c in cards] == [
        ("refcoco val", "worst", "3.5"), ("coco val", "best", "90"),
    ]  # fmt: skip
    options = [a["value"] for t, a in Reader(text).tags if t == "option"]
    assert options[:3] == ["", "refcoco val", "coco val"]
    assert all(f"form.{name}" in SCRIPT for name in ("part", "kind", "words", "low", "high", "order"))
    assert all(a.get("alt") is not None for t, a in Reader(text).tags if t == "img")


def test_a_page_without_answers():
    assert Reader(page("t", [], [])).open == []
