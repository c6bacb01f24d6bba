"""The learned vocabulary in CLIPTokenizer's hands, against CLIP's own algorithm written out."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest

from instructdiffusion.models.tokenizer import BEGIN, END, byte_letters, learn_merges, write_tokenizer

SENTENCES = [
    "mark the pixels of the red star in blue",
    "cover the dog with a green mask, leave the rest",
    "put a yellow circle on the left shoulder of the man",
    "is it 3 dogs or 4 cats?",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tokenizer(SENTENCES * 3, tmp_path_factory.mktemp("words") / "tokenizer", merges=100)


@pytest.fixture(scope="module")
def tokenizer(folder):
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(folder)


def clip_pieces(text: str, folder) -> list[str]:
    """CLIP's byte-pair encoding (Radford et al. 2021, simple_tokenizer.py), lowest-ranked merge first."""
    lines = (folder / "merges.txt").read_text().splitlines()[1:]
    ranks = {tuple(line.split(" ")): n for n, line in enumerate(lines)}
    letters, out = byte_letters(), []
    pattern = r"'s|'t|'re|'ve|'m|'ll|'d|[^\W\d_]+|\d|(?:[^\s\w]|_)+"
    for word in re.findall(pattern, " ".join(text.lower().split())):
        parts = [letters[b] for b in word.encode()]
        parts[-1] += "</w>"
        while len(parts) > 1:
            pair = min(zip(parts, parts[1:]), key=lambda p: ranks.get(p, len(ranks)))
            if pair not in ranks:
                break
            joined, n = [], 0
            while n < len(parts):
                if tuple(parts[n : n + 2]) == pair:
                    joined.append(parts[n] + parts[n + 1])
                    n += 2
                else:
                    joined.append(parts[n])
                    n += 1
            parts = joined
        out += parts
    return out


@pytest.mark.parametrize(
    "text",
    [
        *SENTENCES,
        "",
        "zebra xylophone",  # unknown words
        "the 12 dogs, 2048 stars",  # digits stand alone
        "café naïve Ångström",  # accents and capitals
        "日本語 и кириллица",
        "a 😀 face",
        "the dog's nose, isn't it?",
        "  spaces\tand\nlines  ",
        "!?#%&*()[]{}...",
        "RED StAr",
        "snow_man x_1",
    ],
)
def test_any_text_is_encoded_as_clip_would(tokenizer, folder, text):
    vocabulary = json.loads((folder / "vocab.json").read_text())
    expected = [vocabulary[piece] for piece in clip_pieces(text, folder)]
    assert tokenizer(text)["input_ids"] == [0, *expected, 1]


def test_unknown_words_fall_into_letters_and_come_back(tokenizer):
    ids = tokenizer("qzxw café 77")["input_ids"][1:-1]
    assert 0 not in ids and 1 not in ids  # no token for "unknown" in between
    assert tokenizer.decode(ids).strip() == "qzxw café 7 7"


def test_known_words_are_one_token(tokenizer):
    ids = tokenizer("the red star")["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids) == [BEGIN, "the</w>", "red</w>", "star</w>", END]


def test_long_texts_are_cut_and_short_ones_padded_with_end(tokenizer):
    assert tokenizer.model_max_length == 48
    cut = tokenizer("star " * 100, truncation=True)["input_ids"]
    assert len(cut) == 48 and cut[-1] == 1
    padded = tokenizer("star", padding="max_length")["input_ids"]
    assert len(padded) == 48 and padded[3:] == [1] * 45


def test_the_vocabulary_is_begin_end_bytes_and_merges(folder):
    vocabulary = json.loads((folder / "vocab.json").read_text())
    assert list(vocabulary.values()) == list(range(len(vocabulary)))
    assert list(vocabulary)[:2] == [BEGIN, END]
    assert set(byte_letters()) <= set(vocabulary) and {x + "</w>" for x in byte_letters()} <= set(vocabulary)
    merges = (folder / "merges.txt").read_text().splitlines()[1:]
    assert 60 < len(merges) <= 100 and all("".join(m.split(" ")) in vocabulary for m in merges)


def test_byte_letters_are_256_and_printable():
    letters = byte_letters()
    assert len(set(letters)) == 256 and all(
        len(x) == 1 and x.isprintable() and not x.isspace() for x in letters
    )
    assert letters[ord("a")] == "a" and letters[ord(" ")] == "Ġ"  # GPT-2's table


def test_merges_go_by_frequency_then_alphabet():
    merges = learn_merges(Counter({"abc": 3, "bc": 1, "xy": 3}), 10)
    assert merges == [("b", "c</w>"), ("a", "bc</w>"), ("x", "y</w>")]
    assert learn_merges(Counter({"ab": 1}), 0) == []


def test_learning_is_deterministic_and_needs_words(folder, tmp_path):
    again = write_tokenizer(SENTENCES * 3, tmp_path / "again", merges=100)
    for name in ("vocab.json", "merges.txt", "tokenizer_config.json"):
        assert (again / name).read_bytes() == (folder / name).read_bytes()
    with pytest.raises(ValueError, match="at least one sentence"):
        write_tokenizer([], tmp_path / "none")
