"""What a model says of itself is read, and tiny's file says what its training asked with."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest

import instructdiffusion
from instructdiffusion.datasets.synthetic import scene_record, words
from instructdiffusion.datasets.synthetic.vocabulary import CATEGORIES
from instructdiffusion.knowledge import FILE, Knowledge, read_knowledge, words_of
from instructdiffusion.settings import read_settings
from instructdiffusion.tasks import TASKS
from instructdiffusion.tasks.wordings import reworded

ROOT = Path(__file__).parents[1]
TINY = Path(instructdiffusion.__file__).parent / "assets" / "tiny"


def write(folder: Path, said: object) -> Path:
    (folder / FILE).write_text(json.dumps(said))
    return folder


def test_tiny_says_what_its_training_asks_with():
    for path in (TINY / FILE, ROOT / "training" / "configs" / "tiny-settings.json"):
        assert json.loads(path.read_text())["knowledge"] == words.scene_knowledge("tiny"), (
            f"{path.name} and the scenes' vocabulary differ: write scene_knowledge('tiny') into it"
        )


@pytest.mark.parametrize("task", [t for t in words.scene_words() if t in TASKS])
def test_no_question_of_training_holds_an_unknown_word(task):
    pytest.importorskip("skimage")
    tiny = read_knowledge(TINY)
    read = set()
    for seed in range(150):
        record = scene_record(task, seed, size=32, level=3)
        said = list(record.subjects)
        if task == "edit":
            instruction = TASKS[task].instruct(record.subjects, rng=random.Random(seed))
            said += [instruction.text, reworded(TASKS[task], instruction, random.Random(seed))]
        for text in said:
            assert set(words_of(text)) <= tiny.words[task], text
            assert tiny.unknown(task, text) == ()
        assert set(words_of(record.caption)) <= tiny.words["captions"]
        read |= set(words_of(" ".join(said)))
    if task == "edit":
        assert set(words._EDITS.split()) <= read  # what is written down by hand is really said
    assert len(read & tiny.words[task]) > len(tiny.words[task]) * 0.7


def test_what_tiny_knows_is_read():
    tiny = read_knowledge(TINY)
    assert tiny.name == "tiny" and tiny.draws_only and tiny.things == CATEGORIES and len(tiny.things) == 27
    assert tiny.unknown("segment", "the red stars") == ()
    assert tiny.unknown("segment", "That zebra and my zebra's tail") == ("zebra", "tail")
    assert tiny.tasks_with("tail") == ("keypoints",) and tiny.tasks_with("zebra") == ()
    assert tiny.unknown("denoise", "zebra") == ()  # a task that is not judged
    assert tiny.near("segment", "triangel") == "triangle" and tiny.near("segment", "umbrela") == "umbrella"
    for other in ("mouse", "coat", "zebra", "puppy"):
        assert tiny.near("segment", other) is None, other
    assert tiny.names_a_thing("remove the two stars") and not tiny.names_a_thing("make it gray")


def test_a_model_need_not_say_anything_of_itself(tmp_path):
    assert read_knowledge(None) is None and read_knowledge(tmp_path) is None
    assert read_knowledge(write(tmp_path, {"defaults": {}})) is None
    bare = read_knowledge(write(tmp_path, {"knowledge": {"author": "someone", "pictures": "photographs"}}))
    assert bare == Knowledge(pictures="photographs") and not bare.draws_only
    assert bare.unknown("segment", "the zebra") == () and bare.name == "this model"
    read_settings(tmp_path)  # and the settings beside it are read as ever


def test_words_come_as_a_text_or_a_list(tmp_path):
    words_ = {"segment": "the Zebra", "edit": ["add a", "zebra"]}
    known = read_knowledge(write(tmp_path, {"knowledge": {"words": words_, "things": ["Zebra", "guinea pig"]}}))
    assert known.words == {"segment": {"the", "zebra"}, "edit": {"add", "a", "zebra"}}
    assert known.things == ("zebra", "guinea pig")


@pytest.mark.parametrize(
    "said", [[], "drawings", {"things": 3}, {"things": [3]}, {"words": ["a"]}, {"words": {"segment": 3}}, {"name": 3}]
)  # fmt: skip
def test_what_cannot_be_understood_names_the_file(said, tmp_path):
    with pytest.raises(ValueError, match=re.escape(FILE)):
        read_knowledge(write(tmp_path, {"knowledge": said}))
