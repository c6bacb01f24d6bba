"""Page: one HTML file with figures and answers as pictures; it opens from disk and takes nothing from outside."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from html import escape

from .breadth_tables import SHAPES, SIZES
from .gallery import KINDS, Card
from .page_style import SCRIPT, STYLE

Lines = Sequence[Sequence[str]]


def page(title: str, sections: Sequence[tuple[str, Lines]], cards: Sequence[Card], subtitle: str = "") -> str:
    """The page's HTML. sections: (heading, lines of a table, the first of them its head).

    Tables of the paper and "Headlines" stand open, the others fold out.

    All words are escaped: they come from datasets. A content security policy allows only this page's own script,
    style and the pictures in it.
    """
    script = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{script}'"
    open_ones = "\n".join(_section(heading, lines) for heading, lines in sections if _is_open(heading))
    folded = "\n".join(_section(heading, lines) for heading, lines in sections if not _is_open(heading))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">
<title>{escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<header class="head"><h1>{escape(title)}</h1><button id="theme" type="button">light / dark</button></header>
<main>
<p class="sub">{escape(subtitle)}</p>
<div class="tables">{open_ones}</div>
{folded}
</main>
{_bar(cards)}
<main>
<div class="cards">
{"".join(_card(number, card) for number, card in enumerate(cards))}
</div>
<p class="none" hidden>No answer fits. <button type="reset" form="filter">show all</button></p>
</main>
<footer class="foot">
<kbd>j</kbd> <kbd>k</kbd> next and previous answer, <kbd>Enter</kbd> large, then <kbd>1</kbd>-<kbd>4</kbd> or
<kbd>←</kbd> <kbd>→</kbd> its pictures in one place, <kbd>↑</kbd> <kbd>↓</kbd> other answers, <kbd>Esc</kbd> back;
<kbd>/</kbd> search. The rank of an answer is the percentage of answers of its task that are worse.
</footer>
<dialog aria-label="one answer, large">
<header><p></p><strong class="says"></strong><button class="close" type="button">close</button></header>
<div class="stage"><img alt=""></div>
<footer></footer>
</dialog>
<script>{SCRIPT}</script>
</body>
</html>
"""


def _is_open(heading: str) -> bool:
    return heading.startswith("Table ") or heading == "Headlines"


def _section(heading: str, lines: Lines) -> str:
    table = _table(heading, lines)
    if _is_open(heading):
        return f"<section><h2>{escape(heading)}</h2>\n{table}</section>"
    opened = " open" if heading.startswith("Broken") or len(lines) <= 16 and heading == "Figures" else ""
    return f"<details{opened}><summary>{escape(heading)}</summary>\n{table}</details>"


def _table(heading: str, lines: Lines) -> str:
    kind = "paper" if heading.startswith("Table ") else "words"
    kind = "figures" if heading in ("Headlines", "Figures", SHAPES, SIZES) else kind
    kind = "figures groups" if heading == "Figures by group" else kind  # one column of words more
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in lines[0])
    rows = "\n".join("<tr>" + "".join(f"<td>{escape(c)}</td>" for c in line) + "</tr>" for line in lines[1:])
    top = f"<thead><tr>{head}</tr></thead>" if any(lines[0]) else ""
    return f'<div class="scroll"><table class="{kind}">{top}<tbody>\n{rows}\n</tbody></table></div>'


def _bar(cards: Sequence[Card]) -> str:
    parts, tasks = dict.fromkeys(c.part for c in cards), dict.fromkeys(c.task for c in cards)
    names = list(dict.fromkeys([*(tasks if len(tasks) < len(parts) else ()), *parts]))
    choices = "".join(f'<option value="{escape(n)}">{escape(n)}</option>' for n in names)
    kinds = "".join(
        f'<label><input type="radio" name="kind" value="{k}"{checked}><span>{k or "all"}</span></label>'
        for k, checked in (("", " checked"), *((k, "") for k in KINDS))
    )
    return f"""<div class="bar"><form id="filter" role="search" aria-label="which answers are shown">
<label>task <select name="part"><option value="">all</option>{choices}</select></label>
<fieldset aria-label="kind">{kinds}</fieldset>
<label>rank <input type="number" name="low" min="0" max="100" step="5" value="0" aria-label="lowest rank"></label>
<label>to <input type="number" name="high" min="0" max="100" step="5" value="100" aria-label="highest rank"></label>
<label>order <select name="order"><option value="picked">as listed</option><option value="worst">worst first</option>
<option value="best">best first</option></select></label>
<label><input type="search" name="words" placeholder="words" aria-label="words in the question"></label>
<button type="reset">reset</button>
<output id="count" aria-live="polite">{len(cards)} answers</output>
</form></div>"""


def _card(number: int, card: Card) -> str:
    pictures = "".join(_picture(card, title, uri) for title, uri in card.pictures)
    facts = f'<p class="facts">{escape("; ".join(card.facts))}</p>' if card.facts else ""
    attributes = (
        f'data-part="{escape(card.part)}" data-task="{escape(card.task)}" data-kind="{escape(card.kind)}"'
    )
    return f"""<article class="card" {attributes} data-rank="{card.rank:g}" data-place="{number}">
<div class="top"><span class="kind {escape(card.kind)}">{escape(card.kind)}</span><span>{escape(card.part)}</span>
<span>{escape(card.name)}</span><span class="score">{escape(card.score)}</span></div>
<p class="words-asked">{escape(card.words)}</p>
<p class="rank"><span><i style="width:{card.rank:g}%"></i></span><b>better than {card.rank:.0f} %</b></p>
{facts}<div class="pictures">{pictures}</div>
</article>
"""


def _picture(card: Card, title: str, uri: str) -> str:
    small = ' class="tiny"' if uri.startswith("data:image/png") else ""
    alt = f"{title}: {card.words}"
    return (
        f'<button type="button" data-title="{escape(title)}"><span><img{small} src="{escape(uri)}" '
        f'alt="{escape(alt)}" loading="lazy"></span>{escape(title)}</button>'
    )
