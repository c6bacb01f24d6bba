"""Questions that let choose between categories."""

from __future__ import annotations

import re

from .lexicon import INSIDE, PICTURE
from .sentences import Sentence, stripped
from .subjects import is_plural

_THING = (
    r"(?:(?:the|this|that) (?:main |depicted |shown |only )?(?:thing|object|animal|shape|person|item|subject"
    r"|creature|figure"
    rf"|one)|{PICTURE}|it|this|that|these|those|he|she|they|one|there|we looking at|i looking at)(?: {INSIDE})?"
)
_BE = r"(?:is|are|was|does|do|could|would|can)"
_LOOKS = (
    r"(?: be| look| show| depict| contain| have| represent| seem to be| display)?(?: more| most| rather| "
    r"like| likely| probably| a picture of| an image of| a photo of)*"
)
_KIND = (
    r"(?:kind|type|sort|category|class|animal|object|shape|thing|label|one|person|species|of these|of those"
    r"|of the following)"
)
_CHOICES: tuple[str, ...] = (
    rf"{_BE} {_THING}{_LOOKS}:? (?P<list>.+)",
    rf"(?:{_THING} )?(?:is|are|shows?|looks?(?: more)? like|depicts?|contains?)(?: it| this| that)?(?: more "
    rf"like)? (?P<list>.+\bor\b.+)",
    rf"(?:classify|categori[sz]e|label|sort|name|assign|recogni[sz]e|identify)(?: {_THING})?(?: as| into| by| "
    rf"among| between| to|:|,)+"
    r"(?: one of| either)?:? (?P<list>.+)",
    rf"(?:classify|classification|categories|category|label|recognition)(?: {_THING})?: ?(?P<list>.+)",
    r"(?:choose|pick|decide|select|distinguish|discriminate|tell|say)(?: one)?(?: between| from| among| of| "
    r"whether|:)(?: these| them"
    r"| the (?:categories|options|classes|labels)| the following)?:? (?P<list>.+)",
    rf"(?:what|which)(?: {_KIND})*(?:'s)? ?(?:is|are|do you see|fits(?: best)?|does|best describes|describes"
    rf"|appears)?(?: it| this| that"
    rf"| {_THING}| shown| here| there| see| show| best| you see| depict| more likely)*(?: "
    rf"{INSIDE})?\s?[:,?;.-]+ (?P<list>.+)",
    rf"(?:what|which)(?: {_KIND})*(?: is| are)(?: it| this| that| {_THING})?(?: more likely)?:? (?P<list>.+\bor\b.+)",
    r"(?:(?:do|can) (?:you|we|i) see|call (?:it|this|that)|consider (?:it|this|that)|say (?:it|this|that) is) "
    r"(?P<list>.+\bor\b.+)",
    r"(?P<list>(?:an? |the )?[\w-]+(?: [\w-]+)?(?:, (?:an? |the )?[\w-]+(?: [\w-]+)?)*(?:,? (?:or|vs\.?|versus) "
    r"| ?/ ?)(?:an? |the )?[\w-]+(?: [\w-]+)?)"
    r"(?:[:,?;.-]+ ?(?:which|what|is it|classify|decide|choose|tell).*)?",
)  # fmt: skip
_TELL = re.compile(
    r"^(?:(?:tell|say|decide|determine|check|find out|check|figure out|guess|know|see|answer|identify|judge|show"
    r"|work out"
    r"|let me know|state|verify|classify)(?: me| us)?,? (?:if|whether|which(?: of these)?|what)(?: it is| this "
    r"is)?:? )"
)
_EDITING = re.compile(
    r"^(?:add|remove|delete|erase|replace|swap|make|turn|change|put|draw|give|paint|color|transform|convert"
    r"|insert|show|segment"
    r"|mask|mark|find|detect|box|highlight|where|place|move|let|how|count|locate|cut|select|crop|blur|point|circle)\b"
)


def read_choice(sentence: Sentence) -> tuple[str, ...] | None:
    """The categories that a question lets choose from ("is it a dog or a cat?"); None for what is no such question."""
    text = sentence.text
    if (names := _tail_list(text)) is not None:
        return names
    choice = _TELL.sub("", text)
    if _EDITING.match(choice):
        return None
    question = choice if choice == text else f"{choice}"
    for pattern in _CHOICES:
        match = re.fullmatch(pattern, question)
        if not match:
            continue
        names = _categories(match["list"])
        bare = pattern is _CHOICES[-1]
        several = len(names) > 1
        one = len(names) == 1 and bool(re.fullmatch(r"an? [\w-]+(?: [\w-]+)?", names[0]))
        if (
            several
            and (re.search(r"\b(?:or|vs|versus|and)\b|,", match["list"]))
            or (one and pattern is _CHOICES[0] and not re.match(r"(?:is|are) there", question))
        ):
            if bare and any(len(n.split()) > 4 for n in names):
                continue
            return names
    return None


_WORD = (
    r"(?!(?:is|are|it|this|that|which|what|tell|of|class\w*|or|and|you|me|choose|options?|shown|whether|if|guess"
    r"|see|the|a|an"
    r"|more|either|from|between|use|for|in|on|with|to|where|find|mark|mask|segment)\b)[\w'-]+"
)
_NAME = rf"(?:(?:rather |more |either |maybe |is it |is this )*(?:an? |the )?{_WORD}(?: {_WORD})?)"
_LIST = re.compile(rf"{_NAME}(?:(?:,? or |,? vs\.? |,? versus |,? and |, ?| ?/ ?){_NAME})+")
_SPLITS = re.compile(
    r"^|[:,?.;!]+ ?| - |\b(?:is|are|it|this|that|whether|if|between|from|among|as|of|like|classes|either|see"
    r"|shown|into|with"
    r"|contain|show|depict|classification|there|one|thing|object|animal|call this|call it)\b "
)
_ASKING = re.compile(
    r"\b(?:is|are|which|what|wich|whether|if|class\w*|categor\w+|labels?|choose|pick|decide|determine|guess"
    r"|between|either"
    r"|options?|kind|type|recogni\w+|looking|think|does|do you|call)\b"
)
_CLASSING = re.compile(
    r"\b(?:class\w*|categor\w+|labels?|options?|choose|pick|guess|between|(?:which|what)\b.*\b(?:it|this"
    r"|picture)|word|answer)\b"
)
_AFTER = re.compile(
    r"[.,:;?!-]+ ?(?:which|what|you decide|tell me|is it|decide|choose|which one)\b[^,]*$|[?.] use .*$|,? tell "
    r"me which.*$"
)


def _tail_list(text: str) -> tuple[str, ...] | None:
    """The categories that a question ends in ("what is this: a dog, a cat or a horse"), or that a question follows."""
    bare = _AFTER.sub("", text)
    if _EDITING.match(text) and not re.match(r"(?:tell|pick|choose)\b", text):
        return None
    for split in _SPLITS.finditer(bare):
        names = bare[split.end() :].strip()
        head = bare[: split.end()] + bare[len(bare) :] + text[len(bare) :]
        if not _LIST.fullmatch(names):
            continue
        chosen = bool(re.search(r"\b(?:or|vs|versus)\b|/", names))
        if chosen and (_ASKING.search(head) or not split.end()) or _CLASSING.search(head):
            kinds = _categories(names)
            return kinds if len(kinds) > 1 else None
    return None


def _categories(text: str) -> tuple[str, ...]:
    """The categories of a list, each with an article where it is one thing."""
    text = re.sub(
        r"[:,?;. ]+(?:which|what)(?: one)?(?: is it| is this| is that| do you see| fits)?$", "", text
    )
    text = re.sub(rf"(?: that (?:i|you) see| {INSIDE})$", "", text)
    parts = re.split(
        r",? or (?:rather |maybe |is it |is this |are they |perhaps |even |is that )?|,? (?:vs\.?|versus|and) "
        r"|[,;/]+ ?",
        text,
    )
    names = []
    for part in parts:
        part = stripped(
            re.sub(
                r"^(?:either |maybe |rather |more like |more |like |whether |is it |is this )+",
                "",
                part.strip(),
            )
        )
        if not part or re.fullmatch(
            r"(?:something else|neither|nothing|none(?: of .*)?|not|both|what|other|anything else)", part
        ):
            continue
        if not re.match(r"(?:a|an|the|some)\b", part) and not is_plural(part):
            part = f"{'an' if part[0] in 'aeiou' else 'a'} {part}"
        names.append(part)
    return tuple(dict.fromkeys(names))
