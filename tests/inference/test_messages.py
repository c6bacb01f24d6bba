"""What is said about an answer is true, and nothing is said where nothing is known."""

from __future__ import annotations

import time

import numpy as np
import pytest

from instructdiffusion import TASKS, InstructDiffusion, Instruction
from instructdiffusion.cli.answer import describe
from instructdiffusion.datasets.photographs import photograph
from instructdiffusion.datasets.synthetic import scene_record
from instructdiffusion.inference.answer import Answer
from instructdiffusion.inference.messages import message, remarks
from instructdiffusion.knowledge import Knowledge, read_knowledge
from instructdiffusion.models.loading import find_folder
from instructdiffusion.results import Boxes, Keypoints, Label, Masks

TINY = read_knowledge(find_folder("tiny"))
SOURCE = np.full((64, 96, 3), 100, np.uint8)
PHOTO = "this looks like a photograph; tiny knows drawn things only"


def masks(subject: str, count: int, note: str = "") -> Masks:
    data = np.zeros((count, 64, 96), bool)
    for row in range(count):
        data[row, 10:20, 10 + 20 * row : 20 + 20 * row] = True
    return Masks(data, np.ones(count, np.float32), (subject,) * count, note)


def boxes(subject: str, count: int) -> Boxes:
    return masks(subject, count).boxes()


def asked(task: str, *subjects: str) -> Instruction:
    return TASKS[task].instruct(list(subjects))


def changed(size: int, levels: int) -> np.ndarray:
    """The source with a square of `size` pixels changed by `levels`."""
    picture = SOURCE.copy()
    picture[:size, :size] += np.uint8(levels)
    return picture


def test_nothing_is_said_where_all_is_well():
    for knowledge in (TINY, None):
        assert remarks(knowledge, asked("segment", "the red star"), SOURCE, masks("the red star", 1)) == []
        assert remarks(knowledge, asked("segment", "the stars"), SOURCE, masks("the stars", 3)) == []
        assert remarks(knowledge, asked("detect", "all dogs"), SOURCE, boxes("all dogs", 2)) == []
        assert remarks(knowledge, asked("edit", "add a red star"), SOURCE, None, changed(20, 60)) == []
        assert message(knowledge, asked("classify", "a dog", "a cat"), SOURCE, Label("a cat")) == ""


def test_words_that_training_never_used_are_named():
    nothing = masks("the zebra", 0, "nothing found for 'the zebra'")
    said = remarks(TINY, asked("segment", "the zebra"), SOURCE, nothing)
    assert said == ["nothing found for 'the zebra'", "tiny does not know 'zebra'"]
    found = remarks(TINY, asked("segment", "the puppy"), SOURCE, masks("the puppy", 1))
    assert found == ["tiny does not know 'puppy': its answer may be wrong"]
    assert remarks(TINY, asked("classify", "a dog", "a wolf"), SOURCE, Label("a dog"))[0].startswith(
        "tiny does not know 'wolf'"
    )
    points = Keypoints.empty(("the left hand",), 64, 96, "nothing found for 'the left hand'")
    assert "tiny does not know 'hand'" in remarks(TINY, asked("keypoints", "the left hand"), SOURCE, points)
    assert remarks(TINY, asked("segment", "the zebra"), SOURCE) == ["tiny does not know 'zebra'"]  # not read back yet
    assert remarks(None, asked("segment", "the zebra"), SOURCE, nothing) == ["nothing found for 'the zebra'"]


def test_a_misspelt_word_is_guessed_and_many_words_are_counted():
    said = remarks(TINY, asked("segment", "the triangel"), SOURCE)
    assert said == ["tiny does not know 'triangel' (did you mean 'triangle'?)"]
    words = "give the man a hat and a scarf and a coat and gloves and trousers"
    said = remarks(TINY, asked("edit", words), SOURCE, SOURCE, SOURCE)
    assert said[0] == "nothing was changed"
    assert said[1] == "tiny does not know 'hat', 'scarf', 'coat' and 2 more of the words"


def test_a_word_of_another_task_is_not_called_unknown():
    said = remarks(TINY, asked("segment", "the nose"), SOURCE)
    assert said == ["tiny knows 'nose' from keypoints and align, not from segment"]


@pytest.mark.parametrize(
    "words",
    [
        "the red star", "that star over there", "my dog's ear", "every cat in this picture", "the two stars",
        "please make the star yellow for me", "could you remove the small blue circle in the photo, please",
    ],
)  # fmt: skip
def test_small_words_and_polite_ones_are_no_matter(words):
    known = {"the two stars": "two", "my dog's ear": "ear"}.get(words)
    task = "edit" if words.startswith(("please", "could")) else "segment"
    unknown = TINY.unknown(task, words)
    assert unknown == ((known,) if known else ())


def test_how_many_were_taken_is_said_of_one_that_is_several():
    for result in (masks("the star", 3), boxes("the star", 3)):
        task = "segment" if isinstance(result, Masks) else "detect"
        assert remarks(None, asked(task, "the star"), SOURCE, result) == ["3 found for 'the star'; all were taken"]
    for subject, singular in {
        "the star left of the circles": True, "star": True, "the cross": True, "the left dog": True,
        "the stars": False, "all the dogs": False, "people": False, "the fish": False, "the star and the moon": False,
        "the left ears": False, "every dog": False, "the dog with stripes": True,
    }.items():  # fmt: skip
        said = remarks(None, asked("segment", subject), SOURCE, masks(subject, 2))
        assert bool(said) == singular, subject


def test_each_of_several_subjects_is_counted_by_itself():
    both = Masks(
        np.concatenate([masks("the star", 2).data, masks("the dog", 1).data]),
        np.ones(3, np.float32),
        ("the star", "the star", "the dog"),
    )
    question = Instruction("mark them", "segment", ("the star", "the dog"))
    assert remarks(None, question, SOURCE, both) == ["2 found for 'the star'; all were taken"]


def test_one_thing_in_parts_is_said():
    whole = Masks(masks("x", 2).data.any(0)[None], np.ones(1, np.float32), ("the star",))
    said = remarks(None, asked("refer", "the star"), SOURCE, whole)
    assert said == ["2 parts found for 'the star'; all were taken, as one"]
    assert remarks(None, asked("refer", "the star"), SOURCE, masks("the star", 1)) == []


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        (SOURCE, ["nothing was changed"]),
        (changed(64, 8), ["nothing was visibly changed"]),
        (changed(1, 90), ["hardly anything was changed"]),
        (changed(64, 20), []),
        (changed(4, 90), []),
    ],
)
def test_an_edit_that_changed_next_to_nothing_says_so(picture, said):
    assert remarks(None, asked("edit", "add a star"), SOURCE, picture, picture) == said
    assert remarks(None, asked("edit", "add a star"), SOURCE, None, picture) == said  # as InstructSampler has it


def test_other_pictures_are_not_called_unchanged():
    small, denoise = changed(64, 8), TASKS["denoise"].instruct()
    assert remarks(TINY, TASKS["dewatermark"].instruct(), SOURCE, small, small) == []
    assert remarks(TINY, TASKS["dewatermark"].instruct(), SOURCE, SOURCE, SOURCE) == ["nothing was changed"]
    assert remarks(TINY, denoise, SOURCE, SOURCE, SOURCE) == []
    assert remarks(TINY, asked("edit", "add a star"), SOURCE, None, SOURCE[:32]) == []  # not of one size


def test_a_photograph_is_beyond_a_model_of_drawings():
    pytest.importorskip("skimage")
    photo = photograph()
    for question in (
        asked("segment", "the cat"), asked("align", "the nose"), asked("edit", "remove the cat"),
        asked("edit", "make the background red"), asked("classify", "a dog", "a cat"),
        asked("edit", "remove the zebra"),
    ):  # fmt: skip
        said = remarks(TINY, question, photo)
        assert said[-1].startswith(PHOTO) and all(thing in said[-1] for thing in TINY.things)
        assert "checkpoint" in said[-1] and "docs/messages.md" in said[-1]
    assert remarks(TINY, asked("edit", "make it gray"), photo) == []  # needs to know no thing
    for task in ("denoise", "deblur", "dewatermark"):
        assert remarks(TINY, TASKS[task].instruct(), photo) == []
    assert remarks(None, asked("segment", "the cat"), photo) == []
    assert remarks(Knowledge("other", "photographs"), asked("segment", "the cat"), photo) == []


def test_tiny_says_it_where_the_person_stands():
    scene = scene_record("segment", 3, split="test", level=1).image
    tiny = InstructDiffusion.from_pretrained("tiny", device="cpu")
    answer = tiny.segment(scene, "the zebra")
    assert "tiny does not know 'zebra'" in answer.message
    assert answer.to_coco()["info"]["message"] == answer.message and describe(answer).endswith(answer.message)
    kept = tiny.edit(scene, "remove the zebra")
    assert kept.message.startswith("nothing was changed; tiny does not know 'zebra'")
    assert tiny.denoise(scene).message == ""


def test_the_shell_counts_once():
    star = asked("segment", "the star")
    assert describe(Answer(star, masks("the star", 1), SOURCE, SOURCE, {}, TINY)) == "1 found for 'the star'"
    assert describe(Answer(star, masks("the star", 2), SOURCE, SOURCE)) == "2 found for 'the star'; all were taken"
    puppy = Answer(asked("segment", "the puppy"), masks("the puppy", 1), SOURCE, SOURCE, {}, TINY)
    assert describe(puppy) == "1 found for 'the puppy'; tiny does not know 'puppy': its answer may be wrong"
    label = Answer(asked("classify", "a dog", "a wolf"), Label("a dog"), SOURCE, SOURCE, {}, TINY)
    assert describe(label) == "a dog; tiny does not know 'wolf': its answer may be wrong"


def test_it_costs_next_to_nothing():
    pytest.importorskip("skimage")
    photo = np.tile(photograph(), (6, 8, 1))[:3000, :4000]
    edited = photo.copy()
    edited[-1, -1] ^= 1  # the comparison has to look at all of it
    question = asked("edit", "remove the zebra")

    def milliseconds(*pictures: np.ndarray) -> float:
        source, picture = pictures
        took = []
        for _ in range(5):
            began = time.process_time()
            remarks(TINY, question, source, picture, picture)
            took.append(time.process_time() - began)
        return min(took) * 1000

    assert milliseconds(photo[:512, :512], edited[-512:, -512:]) < 10
    assert milliseconds(photo, edited) < 50
