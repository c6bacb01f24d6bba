"""Requests to have a picture restored: which flaw of it they name."""

from __future__ import annotations

import re

from .lexicon import BLUR, LETTERING, NOISE, PICTURE, PICTURE_NOUN, REMOVING, RESTORING, SPOILING, WATERMARK
from .sentences import Sentence

_DEGRADED = (("dewatermark", WATERMARK), ("denoise", NOISE), ("deblur", BLUR), ("dewatermark", LETTERING))
_FAINT = re.compile(
    r"focus|shake|edges|(?:fine )?details?|softness|crisp(?:er)?|sharp"
)  # alone they ask for nothing
_SHARPENING = re.compile(
    rf"\b(?:want|like|have|give|see|same|version|wrong|missed|looks?|sharpen\w*|sharper|deblur\w*|restore"
    rf"|recover|bring|put|make|more|get|{REMOVING}|fix|increase|out of"
    rf"|not|correct"
    r"|improve|enhance|reduce|compensate|stabili[sz]e)\b"
)


# A change to a thing, whatever flaws are spoken of.
_CHANGING = (
    r"(?:add|put(?!.* focus)|draw|replace|swap|give the|color|write|insert|blur|paint the|make the \w+ (?:\w+ "
    r")?(?:red|blue|green))\b"
)
_SURE = (
    # a noun of a flaw that is to go, whatever else is said
    rf"\b(?:{REMOVING}|reduce|lower|less|fix|repair|filter|smooth|suppress|no)\b(?: [a-z'-]+){{0,3}} (?:{NOISE}"
    rf"|{WATERMARK}"
    r"|blur|blurr|blurriness|motion blur)\b(?! (?:sign|barrier|machine|background|bowl|field))",
    rf"\b(?:{WATERMARK}|noise|grain|blur|(?:text|logo|letters|writing) (?:over|across|on top of) (?:the|my"
    rf"|this) {PICTURE_NOUN})"
    rf"\b.*\b{REMOVING}\b",
    rf"\b{REMOVING}\b.*\b(?:text|logo|letters|words?|writing)\b.*\b(?:over|across|on top of) (?:the|my|this) "
    rf"{PICTURE_NOUN}",
    r"^(?:denoise|deblur|unblur|unwatermark|dewatermark|degrain|sharpen)(?: (?:the|my|this|that|these|our"
    r"|it))*(?: [a-z]+){0,2}"
    rf" {PICTURE_NOUN}\b",
    rf"^(?:{PICTURE}|we|it|everything) (?:is|are|looks?|came out|seems?|turned out)(?: [a-z]+){{0,2}} (?:noisy"
    rf"|grainy|blurry"
    r"|blurred|out of focus|unsharp|fuzzy|shaky|soft)\b(?!.*\b(?:make|turn|replace|add)\b)",
    rf"^(?:(?:i|we) [a-z' ]*)?(?:a |the |this |it )*{PICTURE_NOUN}?,? ?(?:with|without)(?: (?:the|any|all"
    rf"|less))* (?:{NOISE}|{BLUR})$",
)


# What is to stay as it is says nothing of what is to go: "sharpen it but keep the grain".
_STAYING = (
    r"(?:,? (?:but|and|while|yet)|,) (?:please )?(?:keep|leave|retain|preserve|maintain|keeping|leaving|retaining"
    r"|preserving|do not (?:remove|touch|change|lose|reduce)|not (?:removing|touching|changing|losing)"
    r"|without (?:removing|touching|changing|losing)) .+$",
    r"^(?:keep|leave|retain|preserve) (?:the |all |all the |its )?[a-z]+(?: alone| as it is)?,? (?:but|and) ",
    r" without (?:removing|touching|changing|losing) .+$",
)


# Complaints that name no flaw by a word of its own, or among other words: (task, pattern).
_HARM = r"(?:spoil|ruin|cover|block|annoy|disfigur|hid|obscur|mar)(?:s|ing|ring|es|ed)?|in the way"
_GHOSTLY = r"(?:faint|ghostly|half[ -]transparent|see[ -]through|semi-?[ ]?transparent|translucent|pale)"
_LETTERS = r"(?:lettering|letters|text|words?|writing|logos?|stamp|inscription)"
_GOING = rf"(?:{REMOVING}|has to go|have to go|must go|should go|off|away|gone)"
_COMPLAINTS = (
    ("dewatermark", r"\bwatermarks?\b.*\b(?:" + _HARM + r")\b"),
    ("dewatermark", rf"\b{_GHOSTLY} {_LETTERS}\b.*\b{_GOING}\b|\b{_GOING}\b.*\b{_GHOSTLY} {_LETTERS}\b"),
    ("dewatermark", rf"\b{REMOVING}\b.*\b{_LETTERS}\b.*\b(?:laid|printed|written|stamped) (?:over|across) "),
    ("dewatermark", r"^(?:get|take) (?:the |that |this )(?:\w+ )?watermark (?:away|off|out)\b"),
    ("denoise", r"\b(?:sensor|iso|low[ -]light|luminance|chroma|digital) noise\b|\bnoise (?:is )?(?:everywhere"
     r"|all over)"),
    ("denoise", r"\bsuffer(?:s|ing|ed)? from (?:[a-z]+ ){0,4}(?:noise|grain)\b"),
    ("denoise", r"\b(?:dots|specks|spots|pixels) from (?:the|my|a) (?:sensor|camera|chip)\b"),
    ("denoise", r"\btv\b.*\bstatic\b.*\bclean\b"),
    ("deblur", r"\b(?:hands?|camera|phone|tripod|arms?) (?:shook|trembled|wobbled|was shaking|were shaking)\b"),
    ("deblur", r"\bfocus (?:was |is |got |has been )?(?:missed|off|wrong|lost)\b|\bmissed (?:the |my )?focus\b"),
    ("deblur", r"\b(?:everything|the whole thing|it|all|the details?) (?:is|are|looks?|came out) (?:[a-z]+ )?"
               r"(?:smeared|smudged|smeary)\b"),
    ("deblur", r"\b(?:reverse|undo|cancel|counteract|invert) (?:the |this |that )?(?:motion |camera )?(?:blur"
     r"|shake)\b"),
    ("deblur", rf"^crisp(?:en)? {PICTURE}(?: up)?$|^{PICTURE} crisper$|^sharpen (?:the )?{PICTURE_NOUN}$"),
    ("deblur", r"\b(?:is|looks) (?:\w+ )?(?:blurred|blurry)\b.*\bclear(?:er)?\b"),
)  # fmt: skip


def _complaint(text: str) -> str | None:
    return next((task for task, pattern in _COMPLAINTS if re.search(pattern, text)), None)


def _about_picture(text: str) -> bool:
    """Whether a flaw is surely the picture's, though other things are spoken of."""
    return any(re.search(pattern, text) for pattern in _SURE)


def read_flaw(sentence: Sentence) -> str | None:
    """The task that mends what a request complains of; None where it says more than a flaw, its picture and mending."""
    text = sentence.text
    for pattern in _STAYING:
        text = re.sub(pattern, "", text)
    clean = (
        rf"(?:(?:clean(?: up)?|smoothe?n?(?: out)?) {PICTURE}|make {PICTURE} (?:clean|cleaner|smooth"
        rf"|smoother))(?: up)?"
    )
    if re.fullmatch(clean, text):
        return "denoise"
    if re.fullmatch(
        rf"(?:re)?focus(?: {PICTURE})?|make {PICTURE} clear(?:er)?(?: again)?|{PICTURE} is (?:too |very )?soft.*",
        text,
    ):
        return "deblur"
    if re.search(SPOILING, text) or re.match(r"(?:is|are) there (?!a way)|where\b|which\b|how many\b", text):
        return None
    if re.match(_CHANGING, text):
        return None
    text = re.sub(r'"[^"]*"', "", text)
    if (task := _complaint(text)) is not None:
        return task
    words = re.findall(r"[a-z][a-z'-]*", text)
    flaws = {}
    for task, pattern in _DEGRADED:
        at = [i for i, w in enumerate(words) if re.fullmatch(pattern, w)]
        if at:
            flaws[pattern] = (at[0], task)
    known = re.compile("|".join((WATERMARK, NOISE, BLUR, LETTERING, REMOVING)))
    if (
        not flaws
        or not _about_picture(text)
        and any(not (w in RESTORING or known.fullmatch(w)) for w in words)
    ):
        return None
    removing = re.search(rf"\b{REMOVING}\b", text)
    if (
        BLUR in flaws
        and all(_FAINT.fullmatch(w) for w in words if re.fullmatch(BLUR, w))
        and not _SHARPENING.search(text)
    ):
        del flaws[BLUR]
    if LETTERING in flaws and not removing:
        del flaws[LETTERING]
    for pattern in (WATERMARK, NOISE, BLUR, LETTERING):
        if pattern in flaws and not (
            pattern == BLUR and LETTERING in flaws and removing and _faint_only(words)
        ):
            return flaws[pattern][1]
    return "dewatermark" if LETTERING in flaws else None


def _faint_only(words: list[str]) -> bool:
    return all(_FAINT.fullmatch(w) for w in words if re.fullmatch(BLUR, w))
