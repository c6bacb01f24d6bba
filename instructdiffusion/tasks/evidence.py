"""Evidence: what a request asks for by the words in it, where no pattern of a whole sentence says so.

People say "moon, cutout, clean edges" and "I keep losing the fish, where did it go?": the order of the words tells
little, and the words themselves nearly all. A request that changes a thing ("make the star red") has none of this and
stays an edit.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from .instruction import Understanding
from .landmarks import Landmark, points_task, read_landmarks
from .lexicon import BODY_PART, FACE_PART, PICTURE_NOUN, SHARED_PART
from .subjects import clean_subject, is_plural, tells_one

# What pictures show, in people's words: what scenes are made of, and COCO's categories.
_NOUNS = (
    "circle disc disk square triangle star heart ring diamond cross hexagon moon sun cloud house home tree "
    "car fish apple boat ship"
    " mushroom umbrella cup mug flower dog doggy puppy cat kitty kitten horse pony bird man woman child boy "
    "girl person lady guy"
    " kid figure rider ball banana bicycle bike motorcycle airplane plane bus train truck traffic-light "
    "hydrant bench sheep cow"
    " elephant bear zebra giraffe backpack handbag tie suitcase frisbee snowboard kite bottle glass fork "
    "knife spoon bowl sandwich"
    " orange broccoli carrot pizza donut cake chair couch sofa plant bed table toilet tv laptop mouse remote "
    "keyboard phone oven"
    " sink book clock vase scissors toothbrush animal object thing shape item face hand leaf leaves grass sky"
).split()
_IRREGULAR = "men women children people persons feet leaves mice kitties puppies ponies ladies doggies buses"
_NOUN = rf"(?:{'|'.join(sorted(_NOUNS, key=len, reverse=True))}|{'|'.join(_IRREGULAR.split())})(?:es|s)?"
_TONE = (
    r"(?:light |dark |bright )?(?:red|green|blue|yellow|orange|purple|violet|pink|black|white|gray|brown|cyan"
    r"|magenta|golden|gold|silver|beige)"
)
_LOOK = (
    rf"(?:{_TONE}|striped|dotted|spotted|checkered|plain|big|bigger|biggest|large|larger|largest|small|smaller"
    rf"|smallest|little|tiny|tall"
    r"|taller|tallest|short|shortest|wide|widest|narrow|narrowest|thin|thinnest|thick|round|huge|old|young"
    r"|left|right|upper|lower|top"
    r"|bottom|middle|center|central|leftmost|rightmost|topmost|uppermost|bottommost|lowest|highest|first"
    r"|second|third|last|single|lone"
    r"|nearest|closest|furthest|farthest|far|front|back|lower left|lower right|upper left|upper right"
    r"|top left|top right)"
)
_LEAD = (
    r"(?:(?:all (?:of )?)?(?:the|this|that|these|those|my|our|a|an)|all|every|each|any|both|no|two"
    r"|three|four|five|several|some)"
)
_PHRASE = re.compile(rf"(?:\b{_LEAD} )?(?:\b{_LOOK},? )*\b{_NOUN}\b(?! (?:mask|of)\b)")
_RELATION = (
    r"(?:(?:directly |just |right |immediately )?(?:left of|right of|to the (?:left|right) of|above|below"
    r"|under|underneath|beneath|over"
    r"|next to|beside|behind|near|on top of|closest to|nearest to|between|in front of|at the (?:top|bottom"
    r"|left|right|front)"
    r"|(?:on|in|at|to) the (?:very |far )?(?:top|bottom|upper|lower|left|right|middle|center)(?: (?:left"
    r"|right|half|corner|side))*"
    r"|in the (?:middle|center)|wearing|with an?|in an?))"
)
_STANDING = r"(?:,? (?:(?:that|which|who) )?(?:is |are |stands? |sits? |standing |sitting )?)"
_WHERE = re.compile(rf"^{_STANDING}{_RELATION}(?: (?:[a-z-]+ ){{0,3}}{_NOUN}\b)?(?: (?:shirt|dress|hat|jacket|coat))?")

_ASIDE = re.compile(rf", (?:the one )?((?:on |in |at )?(?:the )?(?:far )?(?:{_LOOK} ?)+)$")  # "the star, top right"

_MASK = (
    r"\b(?:masks?|masked|masking|segment\w*|silhouettes?|cut-?outs?|cut\w* (?:it |that |this |that one )?out"
    r"|mattes?|matting|stencils?"
    r"|selections?|select\w*|pixels?|pixel-?wise|pixel-perfect|isolat\w*|outlin\w+|trac(?:e|es|ed|ing)"
    r"|contours?|region|foreground"
    r"|lasso\w*|shade|colored? in(?! the)|color (?:only )?that (?:one )?in|single out|referring|highlight\w*"
    r"|knock\w* out|extract\w*)\b"
)
_BOX = (
    r"\b(?:box|boxes|boxed|boxing|bbox\w*|bounding|rectang\w+|frames?|xyxy|xywh|detect\w*|detections?"
    r"|coordinates?|localiz\w+|locali[sz]e"
    r"|how many|count\w*|positions?|annotation)\b"
)
_SEEK = (
    r"\b(?:where|whereabouts|find|found|finding|locate\w*|spot|search|lost|look for|looking for|see any|area holds"
    r"|show me|point out)\b"
)
_POINT = (
    r"\b(?:points?|dots?|key-?points?|kps?|landmarks?|joints?|pinpoint|markers?|tap|pose|pivot|where|locat\w+"
    r"|locali[sz]e|position|x,? ?y"
    r"|coordinates?|place|find|indicate|annotate|mark|give|show)\b"
)
_CHOOSING = (
    r"\b(?:classif\w+|class(?:es)?|categor\w+|label|which (?:is it|one)|what (?:is|are)|is (?:it|this|that)|tell me"
    r"|pick|decide|or)\b"
)
# A thing is to become another, to come or to go.
_CHANGING = (
    r"\b(?:add|insert|replace|swap|turn|change|recolor|repaint|color(?! in\b)(?! (?:only )?that)|make|paint"
    r"|remove|erase|delete|take away|get rid|wipe|give(?! me\b)|open|close|put(?! (?:an? |some |one |your )?"
    r"(?:\w+ )?(?:box|boxes|frames?|rectangles?|dots?|points?|markers?|cross|circle|bounding|keypoints?|pins?"
    r"|finger)\b)|put glasses|draw an?(?! (?:box|frame|rectangle|dot|bounding|mask"
    r"|outline|red box|circle around))|brighten|darken|lighten|flip|rotate|mirror|sepia|resize|move|invert"
    r"|convert|hide|dress|instead|becomes?|became|lose|prefer|without|out of the"
    r" (?:picture|image|scene|photo|drawing)|gone|disappear\w*|vanish\w*|no more|as if|looks? like|into"
    r"|dressed|swapped|wish|be "
    rf"{_TONE}|in {_TONE} (?:instead|please)|should (?:be|have|wear|look)|could (?:be|have|wear)|more|less"
    rf"|goodbye)\b"
)
_WORN = (
    r"\b(?:put|wears?|wearing) (?:an? |his |her )?(?:\w+ )?masks?\b|\b(?:barrier|cardboard)\b"
    r"|\bput it (?:behind|in front)\b"
)
_SURE_MASK = (
    r"\b(?:masks?|masked|masking|segment(?:ation|ations|ed|ing)?|silhouettes?|cut-?outs?|mattes?|stencils?|selections?"
    r"|pixel-?wise)\b"
)
_SURE_BOX = r"\b(?:bounding|bbox\w*|boxes|boxed|xyxy|xywh|detect\w*|rectang\w+)\b"
_REST = re.compile(
    r"\b(?:(?:everything|anything|all(?: the pixels)?|whatever|every pixel)[a-z ]{0,24}? (?:but"
    r"|except(?: for)?|apart from|other than|besides"
    r"|aside from|outside|that is ?n[o']?t|which is not|not|minus)|leave|ignore|skip|keep)\b(?P<left>.+)"
)
_OTHERS = r"\b(?:the rest|everything else|all else|the others|the remainder|background)\b"

# What says nothing beside the name of a thing.
_IDLE = frozenset(
    "please thanks thank you only just the a an of in on this that these those picture image scene photo "
    "drawing can could would i we want"
    " need like get got me my us for one ones it its here there is are and not others other the which with "
    "from give have let us now ok hey"
    " hi so who grab take pick choose name precisely exactly all together also too as well plus".split()
)
_FLAWS = (
    ("dewatermark", r"\b(?:watermark\w*|unwatermark\w*|unstamp|stamps?(?! collection)|logos?"
     r"|brand mark|preview (?:stamp|mark)|"
     r"(?:see-through|faint|transparent|ghostly|overlaid|printed) (?:\w+ )?(?:letters?|text|writing|words?"
     r"|captions?|names?)"
     r"|(?:letters?|text|writing|words?|name|caption|sample|draft|copyright|proof)\b.*\b(?:across|all over"
     r"|on top|over (?:it|everything|the|my))"
     r"|(?:overlaid|overlay) (?:caption|text))\b"),
    ("denoise", r"\b(?:nois(?:e|y|es)|denois\w+|grain(?:s|y|iness)?|speck(?:s|le|les|led|ling|ly)|static"
     r"|salt-?and-?pepper|pepper\w*|sandy|sand"
     r"|dots (?:\w+ )?everywhere|(?:little|tiny|random|colou?red) (?:dots|pixels|specks)|snow(?:y)? .*(?:tv"
     r"|telly|over)|gritty|fizzy)\b"),
    ("deblur", r"\b(?:blur(?:s|red|ry|ring|riness)?|deblur\w*|unblur\w*|focus(?:ed|ing)?|in-focus"
     r"|out-of-focus|sharp(?:en|er|ness|ened|ening)?"
     r"|crisp(?:er|en|ness)?|fuzzy|fuzziness|hazy|haziness|smear\w*|smudg\w*|deconvol\w+|streak\w*|shak(?:e|y"
     r"|en)|mushy|soft(?:ness)?|unsharp"
     r"|camera moved|wobbl\w+)\b"),
)  # fmt: skip
# One thing to be sharpened or blurred, not the picture: "sharpen the pencil".
_OF_THING = re.compile(
    rf"^(?:please |can you |could you )*(?:sharpen|blur|soften|smear|smudge|smooth)(?: up| out)? (?:the|an?"
    rf"|his|her|their|my) (?!{PICTURE_NOUN}\b"
    r"|blur|edges?\b|details?\b|whole\b|lines?\b|noise|grain|focus)"
)
_BRINGING = (  # flaws that are asked for
    r"\b(?:add|insert|repaint|recolor"
    r"|put (?:a|some|my)(?! glasses)|apply (?:a |some )?(?:blur|grain|watermark)|more (?:blur"
    r"|noise|grain)|make (?:it|the \w+|this)"
    r" (?:more )?(?:blurry|noisy|grainy|soft|softer|fuzzy)|make (?:\w+ ){1,3}smeared|blur (?:the|out)|write"
    r"|softer)\b"
)

_AREAS, _POINTED = ("segment", "refer", "detect"), ("keypoints", "align")
# A subject with more in it than the name of a thing, and the tasks that such a request may be one of.
ODD = re.compile(
    r"[;:?!\"{}()\[\]]|, (?:exact|down to|white on|the one|so |pixel)|\b(?:cut out|tell me|and return"
    r"|are required|i would|please|am i"
    r"|it is|possibly|where is|how many|with (?:boxes|rectangles|frames?|a)|only|masked?)\b(?! \w+ (?:box"
    r"|rectangle))"
)
ALIKE = {
    **dict.fromkeys(_AREAS, (*_AREAS, "classify", *_POINTED, "dewatermark", "denoise", "deblur")),
    **dict.fromkeys(_POINTED, _POINTED),
    "classify": ("classify", "detect"),
}


def weigh(text: str) -> Understanding | None:
    """Tell a task from single words of a request.

    Args:
        text: The request, in lower case.

    Returns:
        What it asks for; None where the words do not tell, or tell of a change to a thing.
    """
    words = text.lower().replace("colour", "color").replace("grey", "gray")
    words = " ".join(re.sub(r"[\"“”{}\[\]()]", " ", words).split())
    words = re.sub(r"\b(it|that|there|here|where|what)'s\b", r"\1 is", words)
    phrases = _phrases(words)
    changing = bool(re.search(_CHANGING, words))
    sure = bool(re.search(_SURE_MASK, words) or re.search(_SURE_BOX, words))
    if re.search(_WORN, words):
        return None
    if (flaw := _flaw(words, bool(phrases), sure)) is not None:
        return Understanding(flaw)
    if changing and not sure:
        return None
    if (points := _points(words)) and not sure:
        return points
    if (choice := _choice(words, phrases)) is not None and not sure:
        return choice
    if not phrases:
        return None
    if (rest := _rest(words)) is not None:
        return rest
    if re.search(_BOX, words) and not re.search(_SURE_MASK, words):
        return Understanding("detect", _subjects(phrases))
    if re.search(_MASK, words):
        return _area(phrases, words)
    if re.search(_SEEK, words):
        return _area(phrases, words)
    alone = words
    for phrase in phrases:
        alone = alone.replace(phrase, " ")
    if not re.match(r"an? ", words) and set(re.findall(r"[a-z']+", alone)) <= _IDLE:  # the thing and nothing else
        return _area(phrases, words)
    return None


def _flaw(words: str, things: bool, sure: bool) -> str | None:
    if sure and not re.search(r"\bwatermark", words) or re.search(_BRINGING, words) or _OF_THING.match(words):
        return None
    scores = {task: len(re.findall(pattern, words)) for task, pattern in _FLAWS}
    best = max(scores, key=lambda task: scores[task])
    if not scores[best]:
        return None
    faint = best == "deblur" and re.fullmatch(r".*\b(?:soft|focus|sharp)\b.*", words) and things
    return None if faint else best


def _points(words: str) -> Understanding | None:
    side = r"(?:(?:left|right|front|back|hind|rear|both|upper|lower) )*"
    part = rf"(?:{FACE_PART}|{BODY_PART}|{SHARED_PART}|(?:hand|foot|feet|paw|head top)|tail tip|tip of the tail"
    part += "|top of the head)"
    owner = rf"(?: (?:of|on) (?:the|a|this|that|his|her|my) {_NOUN})?"
    points = [m[0] for m in re.finditer(rf"(?:\b(?:the|a) )?(?:(?:\w+)'s )?\b{side}{part}\b{owner}", words)]
    if not points:
        return None
    alone = len(re.sub(r"[^a-z ]", " ", words).split()) <= 3 + sum(len(n.split()) for n in points)
    if not alone and not re.search(_POINT, words):
        return None
    whose = re.match(rf"(?:\b(?:the|a|this|that) )?({_NOUN}), ", words)
    marks: list[Landmark] = []
    for name in points:
        bare = re.sub(r"^(?:the|a) (?=\w+'s )", "the ", name)
        if whose and " of " not in bare and "'s " not in bare:
            bare = f"{bare} of the {whose[1]}"
        marks += read_landmarks(bare)
    if not marks:
        return None
    return Understanding(points_task(marks), tuple(dict.fromkeys(m.name for m in marks)))


def _choice(words: str, phrases: Sequence[str]) -> Understanding | None:
    kinds = tuple(dict.fromkeys(re.sub(rf"^(?:{_LEAD}) ", "", p) for p in phrases))
    if len(kinds) < 2 or re.search(r"\b(?:where|mask|segment|box|boxes)\b", words):
        return None
    joined = re.search(r" or ", words) or re.search(r"\bclassif|\bclass(?:es)?\b|\bcategor", words)
    is_question = re.fullmatch(rf"(?:{_NOUN}\?? ?)+", words) and "?" in words
    if not (joined and re.search(_CHOOSING, words) or is_question):
        return None
    return Understanding("classify", tuple(_with_article(kind) for kind in kinds))


def _with_article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _rest(words: str) -> Understanding | None:
    match = _REST.search(words)
    if match is None:
        return None
    verb = match[0].split()[0]
    if verb in ("leave", "ignore", "skip", "keep") and not re.search(_OTHERS, words):
        return None
    left = _phrases(match["left"])
    return Understanding("segment", _subjects(left), rest=True) if left else None


def _phrases(words: str) -> list[str]:
    """The things that the words name, each with what is said of it, in order."""
    phrases: list[str] = []
    end = 0
    for match in _PHRASE.finditer(words):
        if match.start() < end:
            continue
        phrase, end = match[0], match.end()
        if (where := _WHERE.match(words[end:])) is not None:
            phrase, end = phrase + where[0], end + where.end()
        elif (place := _ASIDE.match(words[end:])) is not None:
            phrase, end = f"{place[1].strip()} {re.sub(r'^the ', '', phrase)}", end + place.end()
        phrases.append(phrase.strip(" ,"))
    return phrases


def _subjects(phrases: Sequence[str]) -> tuple[str, ...]:
    cleaned = (clean_subject(re.sub(r"^(?:no|any|some) ", "", p).replace(",", "")) for p in phrases)
    return tuple(dict.fromkeys(cleaned))


def _area(phrases: Sequence[str], words: str) -> Understanding:
    subjects = _subjects(phrases)
    one = len(subjects) == 1 and not is_plural(subjects[0])
    looks = bool(re.search(rf"\b(?:{_LOOK}) (?:{_NOUN})", subjects[0]))
    only = bool(re.search(r"\b(?:only|just|single out|that one|not the)\b", words))
    return Understanding("refer" if one and (tells_one(subjects[0]) or looks and only) else "segment", subjects)
