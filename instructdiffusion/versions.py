"""Versions of what makes samples and answers, which pools, checkpoints, journals and caches go by.

Raise one in the commit that changes what it stands for; `tests/golden` fails where that was forgotten. A comment, a
renamed variable or a moved module changes none, and ends no run.
"""

from __future__ import annotations

#: What `datasets.synthetic` draws and words in squares for a task and seed, and how `Task.render` draws answers on it.
SAMPLES = 1
#: What records of data sets become on their way to a sample: `datasets.sources`, `datasets.views`,
#: `datasets.augmentation`. What a reader makes of a data set has a version of its own (`Reader.version`).
SOURCES = 1
#: What a model answers to a question and how that is measured: inference, decoding, compositing, evaluation, and the
#: scenes of other shapes, which training does not draw.
ANSWERS = 5

# Digests of source files, which pools were named by before there were versions: those pools, and the runs that began
# with them, go on.
_BEFORE = {
    "samples 1": "73cb496572b96e386927cb427ec8e0a25e16f8387b80e1d5455509c8dca1781f",
    "samples 1, sources 1": "a76c641282a5542847d57104d04337c63ca759c3960b37bbf4d941d44235f370",
}


def samples_version(sources: bool = False) -> str:
    """Name the version of training samples.

    Args:
        sources: Whether data sets are among what they are drawn from, or scenes alone.

    Returns:
        A string that is another one whenever samples are.
    """
    name = f"samples {SAMPLES}, sources {SOURCES}" if sources else f"samples {SAMPLES}"
    return _BEFORE.get(name, name)


def answers_version() -> dict[str, int]:
    """Name the versions that figures go by: of the scenes asked about, and of the answers."""
    return {"samples": SAMPLES, "answers": ANSWERS}
