"""The page's style and script: no library, nothing from outside."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark;
  --paper: light-dark(#fbfaf8, #15171a); --card: light-dark(#ffffff, #1d2024); --ink: light-dark(#1d1f23, #e8e6e1);
  --soft: light-dark(#62666d, #a2a6ad); --line: light-dark(#e3e0da, #31353b); --well: light-dark(#f1efeb, #101214);
  --accent: light-dark(#0b5cad, #7ab8ff); --worst: light-dark(#a8321c, #ff9a84); --best: light-dark(#1d6b3a, #7fd8a0);
  --random: light-dark(#5b4a8a, #c3b3f2); }
:root[data-theme=light] { color-scheme: light; } :root[data-theme=dark] { color-scheme: dark; }
* { box-sizing: border-box; }
html { scroll-padding-top: 8.5rem; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main, .head, .foot { max-width: 1500px; margin: 0 auto; padding: 0 clamp(1rem, 3vw, 2.5rem); }
.head { padding-top: 2rem; display: flex; gap: 1rem; align-items: baseline; flex-wrap: wrap; }
h1 { font-size: 1.65rem; line-height: 1.2; margin: 0; font-weight: 650; letter-spacing: -.01em; flex: 1 1 20rem; }
h2 { font-size: 1.02rem; margin: 1.4rem 0 .5rem; font-weight: 620; }
button, select, input { font: inherit; color: inherit; }
button { background: var(--card); border: 1px solid var(--line); border-radius: 7px; padding: .28rem .7rem;
  cursor: pointer; }
button:hover { border-color: var(--soft); }
:focus-visible { outline: 2.5px solid var(--accent); outline-offset: 2px; }
.sub { margin: .3rem 0 0; color: var(--soft); }
.tables { display: flex; flex-wrap: wrap; gap: 0 4rem; padding-bottom: 1.4rem; } .tables section { max-width: 100%; }
.scroll { overflow-x: auto; scrollbar-width: thin; }
body:has(dialog[open]) { overflow: hidden; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .26rem .65rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 600; color: var(--soft); } th:first-child, td:first-child { text-align: left; padding-left: 0; }
.words th, .words td { text-align: left; } .words td { white-space: normal; overflow-wrap: anywhere; }
.paper tr:last-child td { font-weight: 650; border-bottom: 0; color: var(--accent); }
.figures td:nth-child(2), .figures th:nth-child(2), .groups td:nth-child(3), .groups th:nth-child(3) {
  text-align: left; }
details { border-top: 1px solid var(--line); padding: .5rem 0; } details[open] { padding-bottom: 1rem; }
summary { cursor: pointer; font-weight: 600; font-size: .98rem; }
.bar { position: sticky; top: 0; z-index: 2; background: var(--paper); margin-top: 1.5rem;
  border-bottom: 1px solid var(--line); }
.bar form { max-width: 1500px; margin: 0 auto; padding: .7rem clamp(1rem, 3vw, 2.5rem); display: flex;
  gap: .6rem 1.2rem; flex-wrap: wrap; align-items: center; font-size: .92rem; }
.bar label, .bar fieldset { display: flex; gap: .45rem; align-items: center; color: var(--soft); }
.bar fieldset { border: 0; padding: 0; margin: 0; gap: 0; }
.bar fieldset label { position: relative; gap: 0; }
.bar fieldset span { border: 1px solid var(--line); border-left-width: 0; padding: .28rem .75rem;
  background: var(--card); cursor: pointer; color: var(--ink); }
.bar fieldset label:first-of-type span { border-left-width: 1px; border-radius: 7px 0 0 7px; }
.bar fieldset label:last-of-type span { border-radius: 0 7px 7px 0; }
.bar fieldset input { position: absolute; inset: 0; opacity: 0; margin: 0; cursor: pointer; }
.bar fieldset input:checked + span { background: var(--ink); color: var(--paper); }
.bar fieldset input:focus-visible + span { outline: 2.5px solid var(--accent); outline-offset: 2px; }
.bar select, .bar input[type=search], .bar input[type=number] { background: var(--card); border: 1px solid var(--line);
  border-radius: 7px; padding: .26rem .5rem; color: var(--ink); }
.bar input[type=number] { width: 4.1rem; } .bar input[type=search] { width: 11rem; }
.bar output { margin-left: auto; color: var(--soft); }
.cards { display: grid; gap: 1.2rem; padding: 1.3rem 0 3rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 620px), 1fr)); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: .9rem 1rem 1rem;
  display: flex; flex-direction: column; gap: .55rem; min-width: 0; }
.card[hidden] { display: none; }
.top { display: flex; gap: .3rem .7rem; align-items: baseline; flex-wrap: wrap; font-size: .86rem; color: var(--soft); }
.kind { font-weight: 650; } .kind.worst { color: var(--worst); } .kind.best { color: var(--best); }
.kind.random { color: var(--random); }
.score { font-weight: 650; color: var(--ink); font-size: .95rem; margin-left: auto;
  font-variant-numeric: tabular-nums; }
.words-asked { margin: 0; font-size: 1.02rem; line-height: 1.35; }
.rank { display: flex; align-items: center; gap: .8rem; margin: 0; font-size: .8rem; color: var(--soft); }
.rank span { flex: 1; height: 3px; border-radius: 2px; background: var(--well); overflow: hidden; }
.rank i { display: block; height: 100%; background: var(--soft); }
.rank b { font-weight: 400; min-width: 7.6em; text-align: right; font-variant-numeric: tabular-nums; }
.pictures { display: grid; grid-auto-flow: column; grid-auto-columns: minmax(0, 1fr); gap: .5rem; margin-top: auto; }
.pictures button { padding: 0; border: 0; background: none; display: flex; flex-direction: column; gap: .3rem;
  border-radius: 8px; text-align: left; font-size: .8rem; color: var(--soft); min-width: 0; }
.pictures span { display: grid; place-items: center; aspect-ratio: 1; background: var(--well); border-radius: 8px;
  overflow: hidden; }
.pictures img { width: 100%; height: 100%; object-fit: contain; display: block; }
.tiny { image-rendering: pixelated; }
.facts { font-size: .84rem; color: var(--soft); margin: 0; overflow-wrap: anywhere; }
.none { padding: 3rem 0; text-align: center; color: var(--soft); }
.foot { padding-bottom: 3rem; color: var(--soft); font-size: .88rem; }
kbd { border: 1px solid var(--line); border-bottom-width: 2px; border-radius: 5px; padding: 0 .35em;
  font: .82em ui-monospace, monospace; background: var(--card); }
dialog { border: 0; padding: 0; width: 100vw; height: 100vh; max-width: none; max-height: none;
  background: var(--paper); color: var(--ink); }
dialog[open] { display: grid; grid-template-rows: auto 1fr auto; }
dialog header, dialog footer { padding: .8rem clamp(1rem, 3vw, 2rem); display: flex; gap: .8rem; align-items: center;
  flex-wrap: wrap; }
dialog header p { margin: 0; flex: 1 1 20rem; font-size: 1.02rem; }
dialog .stage { min-height: 0; display: grid; place-items: center; background: var(--well); }
dialog .stage img { width: 100%; height: 100%; object-fit: contain; min-height: 0; max-height: calc(100vh - 8rem); }
dialog footer { justify-content: center; } dialog footer button[aria-pressed=true] { background: var(--ink);
  color: var(--paper); border-color: var(--ink); }
@media (max-width: 560px) { .pictures { grid-auto-flow: row; grid-template-columns: 1fr 1fr; }
  .bar { position: static; } .bar output { margin-left: 0; } }
@media print { .bar, .head button, dialog { display: none; } }
"""

SCRIPT = """
'use strict';
const all = s => [...document.querySelectorAll(s)], one = s => document.querySelector(s);
const cards = all('.card'), form = one('#filter'), home = one('.cards');
const shown = () => [...home.children].filter(c => !c.hidden);
function filter() {
  const part = form.part.value, kind = form.kind.value, words = form.words.value.trim().toLowerCase().split(/\\s+/);
  const low = +form.low.value || 0, high = form.high.value === '' ? 100 : +form.high.value;
  for (const c of cards) {
    const d = c.dataset, text = c.textContent.toLowerCase();
    c.hidden = (part && d.part !== part && d.task !== part) || (kind && d.kind !== kind)
      || +d.rank < low || +d.rank > high || !words.every(w => text.includes(w));
  }
  const orders = { picked: c => +c.dataset.place, worst: c => +c.dataset.rank, best: c => -c.dataset.rank };
  const by = orders[form.order.value];
  const sorted = [...cards].sort((a, b) => by(a) - by(b) || a.dataset.place - b.dataset.place);
  if (sorted.some((c, i) => home.children[i] !== c)) home.append(...sorted);
  const count = cards.filter(c => !c.hidden).length;
  one('#count').value = count + ' of ' + cards.length + ' answers';
  one('.none').hidden = count > 0;
  const kept = new URLSearchParams([...new FormData(form)].filter(([k, v]) => v && !(k === 'low' && v === '0')
    && !(k === 'high' && v === '100') && !(k === 'order' && v === 'picked')));
  history.replaceState(null, '', kept.size ? '#' + kept : location.pathname + location.search);
}
for (const [k, v] of new URLSearchParams(location.hash.slice(1))) if (form.elements[k]) form.elements[k].value = v;
form.addEventListener('input', filter);
form.addEventListener('submit', e => e.preventDefault());
form.addEventListener('reset', () => setTimeout(filter));
filter();

const view = one('dialog');
let card, place = 0;
function show(c, n) {
  const pictures = [...c.querySelectorAll('.pictures button')];
  card = c; place = (n + pictures.length) % pictures.length;
  const img = pictures[place].querySelector('img'), big = view.querySelector('.stage img');
  big.src = img.src; big.alt = img.alt; big.className = img.className;
  view.querySelector('p').textContent = c.querySelector('.words-asked').textContent;
  view.querySelector('.says').textContent = c.querySelector('.score').textContent;
  view.querySelector('footer').replaceChildren(...pictures.map((p, i) => {
    const b = document.createElement('button');
    b.textContent = (i + 1) + ' ' + p.dataset.title; b.setAttribute('aria-pressed', i === place);
    b.addEventListener('click', () => show(card, i)); return b;
  }));
  if (!view.open) view.showModal();
}
view.querySelector('.close').addEventListener('click', () => view.close());
view.addEventListener('close', () => { if (card) card.querySelectorAll('.pictures button')[place].focus(); });
home.addEventListener('click', e => {
  const b = e.target.closest('.pictures button');
  if (b) show(b.closest('.card'), [...b.parentNode.children].indexOf(b));
});
function other(step) {
  const list = shown(), at = list.indexOf(card || document.activeElement.closest?.('.card'));
  return list[at < 0 ? (step > 0 ? 0 : list.length - 1) : Math.min(list.length - 1, Math.max(0, at + step))];
}
document.addEventListener('keydown', e => {
  if (e.ctrlKey || e.metaKey || e.altKey) return;
  if (view.open) {
    if (e.key === 'ArrowRight' || e.key === ' ') show(card, place + 1);
    else if (e.key === 'ArrowLeft') show(card, place - 1);
    else if ((e.key === 'ArrowDown' || e.key === 'j') && other(1)) show(other(1), place);
    else if ((e.key === 'ArrowUp' || e.key === 'k') && other(-1)) show(other(-1), place);
    else if (e.key >= '1' && +e.key <= card.querySelectorAll('.pictures button').length) show(card, +e.key - 1);
    else return;
    e.preventDefault(); return;
  }
  if (e.target.matches('input, select, textarea')) { if (e.key === 'Escape') e.target.blur(); return; }
  if (e.key === '/') { form.words.focus(); e.preventDefault(); }
  else if (e.key === 'j' || e.key === 'k') {
    card = document.activeElement.closest?.('.card');
    const next = other(e.key === 'j' ? 1 : -1); card = null;
    if (next) { next.querySelector('.pictures button').focus(); next.scrollIntoView({ block: 'nearest' }); }
    e.preventDefault();
  }
});
one('#theme').addEventListener('click', () => {
  const root = document.documentElement, dark = matchMedia('(prefers-color-scheme: dark)').matches;
  const now = root.dataset.theme || (dark ? 'dark' : 'light');
  root.dataset.theme = now === 'dark' ? 'light' : 'dark';
});
"""
