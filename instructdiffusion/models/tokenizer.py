"""A small CLIP-format byte-level BPE tokenizer (vocab.json, merges.txt), learned from a list of sentences."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from .architecture import TEXT_LENGTH

BEGIN, END = "<|startoftext|>", "<|endoftext|>"


def byte_letters() -> list[str]:
    """The 256 printable letters that stand for the bytes 0..255 in CLIP's (and GPT-2's) vocabulary files."""
    printable = [
        *range(ord("!"), ord("~") + 1),
        *range(ord("¡"), ord("¬") + 1),
        *range(ord("®"), ord("ÿ") + 1),
    ]
    letters = {b: chr(b) for b in printable}
    for b in range(256):
        letters.setdefault(b, chr(256 + sum(1 for other in letters if other not in printable)))
    return [letters[b] for b in range(256)]


def learn_merges(words: Counter[str], count: int) -> list[tuple[str, str]]:
    """The first `count` byte-pair merges of a word frequency table; ties go to the alphabetically first pair."""
    letters = byte_letters()
    split = {w: [*(letters[b] for b in w.encode()[:-1]), letters[w.encode()[-1]] + "</w>"] for w in words}
    merges: list[tuple[str, str]] = []
    while len(merges) < count:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, parts in split.items():
            for pair in zip(parts, parts[1:], strict=False):
                pairs[pair] += words[word]
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        for word, parts in split.items():
            joined: list[str] = []
            for part in parts:
                if joined and (joined[-1], part) == best:
                    joined[-1] += part
                else:
                    joined.append(part)
            split[word] = joined
    return merges


def write_tokenizer(sentences: Iterable[str], folder: str | Path, merges: int = 1500) -> Path:
    """Learn a tokenizer and write it where CLIPTokenizer.from_pretrained reads it; returns the folder.

    The vocabulary begins with begin and end (ids 0 and 1), then the 256 byte letters alone and at a word's
    end, then one entry a merge. Any text can be encoded: unknown words fall into letters.
    """
    import re

    words: Counter[str] = Counter()
    for sentence in sentences:
        words.update(re.findall(r"[a-z]+|[0-9]|[^\sa-z0-9]+", sentence.lower()))
    if not words:
        raise ValueError("expected at least one sentence to learn a tokenizer from, got none")
    learned = learn_merges(words, merges)
    letters = byte_letters()
    entries = [BEGIN, END, *letters, *(x + "</w>" for x in letters)]
    for pair in learned:
        if (joined := "".join(pair)) not in entries:
            entries.append(joined)
    folder = Path(folder)
    merges_text = "\n".join(["#version: 0.2", *(" ".join(pair) for pair in learned)]) + "\n"
    write_files_of_tokenizer(folder, entries, merges_text, TEXT_LENGTH)
    return folder


def write_files_of_tokenizer(folder: Path, entries: Sequence[str], merges: str, length: int) -> None:
    """Write the files that CLIPTokenizer.from_pretrained reads.

    Args:
        folder: Made where it is missing.
        entries: The vocabulary, by number.
        merges: The text of merges.txt.
        length: How many tokens its model reads.
    """
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = json.dumps({entry: number for number, entry in enumerate(entries)}, ensure_ascii=False)
    (folder / "vocab.json").write_text(vocabulary, encoding="utf-8")
    (folder / "merges.txt").write_text(merges, encoding="utf-8")
    special = {"bos_token": BEGIN, "eos_token": END, "unk_token": END, "pad_token": END}
    settings = {"tokenizer_class": "CLIPTokenizer", "model_max_length": length, **special}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1), encoding="utf-8")
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=1), encoding="utf-8")
