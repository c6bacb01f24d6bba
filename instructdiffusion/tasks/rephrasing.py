"""Requests said another way: tidied of what glues to their subjects, and turned into the forms that are read.

`tidied` is for every request; `rephrased` only for those that would else be an edit.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from .lexicon import BOX_NOUN, DISC_NOUN, MASK_NOUN, MASKING, PICTURE_NOUN, SEARCH
from .sentences import COLOR, plain

_VERB = rf"(?:{SEARCH}|{MASKING}|box(?: in)?|circle|dot|ring|encircle)"
_SHADE = r"(?:color|shade|fill|tint)(?: in)?"
_DRAW = (
    r"(?:draw|put|place|make|give|get|create|generate|produce|add|lay|return|show|i want|i need|i would like)"
)
_ASK = rf"(?:{_VERB}|{_SHADE}|{_DRAW})"
_IT = r"(?:it|them|him|her|this|that|those|these)"
_SHAPE = rf"(?:{DISC_NOUN}|{BOX_NOUN}|{MASK_NOUN})"
# A thing that stands before its request; what changes a picture is none.
_EDITING = (
    r"(?:add|remove|delete|erase|replace|swap|make|turn|change|put|give|paint|transform|insert|move|let|color|draw|get"
    r"|take|set|write|see)\b"
)
_THING = (
    rf"(?P<s>(?!{_EDITING})(?!(?:is|are|what|which|who|how|if|where|i|we|you|there|this is|it|in|on|with)\b)"
    r"[\w'-]+(?: [\w'-]+){0,9})"
)
_BREAK = r"(?: ?[,:;?.]+ | -+ )"
_LIST = r"(?P<list>[\w' -]+(?:(?:,? or |,? and |, )[\w' -]+)+)"

# (pattern, what takes its place), in turn.
_TIDY: tuple[tuple[str, str], ...] = (
    (r" ?\+ ?(?=[a-z])", " and "),
    (r",? (?:please |pls )?(?:and )?(?:many )?(?:thank you|thanks|thx|tnx|ty|cheers)(?: in advance| a lot)?[ .!]*$",
     ""),
    (r",? (?:real )?(?:quick|fast|asap)[ .!]*$", ""),
    (r", only (?:her|him|it|them|that one|this one)[ .!]*$", ""),
    (r", (?:and )?not (?:the )?(?:others?|ones?|rest|left|right|front|back|upper|lower)\b[^,?;]*(?=,|$)", ""),
    (r"^not the others?, (?:but )?(?:only |just )?", "mark only "),
    (r"\b(?:the )?following(?: things| objects| points)?: ", ""),
    (r"\band another(?: one)? (?:for|on|over|around|of|at) ", "and "),
    (r" of them all(?=[ .,?!]*$)", ""),
    (rf"\b({_VERB}) which (?:is|are) (?=the )", r"\1 "),
    (rf"^(?:put|draw|place) [a-z]+ (around .+), i mean ({BOX_NOUN})$", r"draw \2 \1"),
    (rf"^(?:mark|show|indicate) the (?:location|position|place) of (.+?) (?:with|using) (an? {BOX_NOUN})$",
     r"draw \2 around \1"),
    (rf"^mark with an? ({COLOR}) {DISC_NOUN} (.+?),? and with an? ({COLOR}) {DISC_NOUN} (.+)$",
     r"mark \2 in \1 and \4 in \3"),
    (r"^is there (?:any|a|some) (?:way|chance|possibility|method) (?:to|of|you can|you could) ", ""),
    (r"^(?:does|do|would) (it|this|that) belong to (?:the )?(?:class|category)? ?", r"is \1 "),
    (r"\b(?:to |of )?the (?:class|category) (?=[\w-]+(?:, | or |\?|$))", ""),
    (rf"^(?!{_EDITING}).*\b(?:options|classes|candidates) ?[=:] ?[\[(]? ?"
     r"(?P<list>[\w' -]+, [\w' ,-]+?) ?[\])]*$",
     r"which is it: \g<list>?"),
    (rf"^{_THING}(?: ?[,:;]+ | -+ )(?:mask|segmentation)$", r"mask \g<s>"),
    (rf"^{_THING}(?: ?[,:;]+ | -+ )(?:bounding )?(?:box|boxes|bbox|bboxes)$", r"draw boxes around \g<s>"),
    (r"^((?:detect|find|check|look|see)) (?:if|whether) there (?:is|are) (?:an? |any |some )?(.+?)(?:,? and .+)?$",
     r"detect the \2"),
    (rf"^({_VERB}),? (?:with|using) (an? (?:{COLOR} )?{_SHAPE}),? (?=(?:the|her|his|their|my|its|every|all) )(.+)$",
     r"\1 \3 with \2"),
    (rf"^select (.+) as (?:an? )?{MASK_NOUN}$", r"mask \1"),
    (rf"^shade (?:the )?(?:entire |whole )?(.+?)(?: in {COLOR})? as (?:an? )?{MASK_NOUN}$", r"mask the \1"),
    (rf"^{_SHADE} (?:the pixels of )?(.+?)(?: {COLOR})? so (?:that )?(?:i|we) (?:can |will )?(?:have|get|see"
     rf"|know|find)\b"
     r".*\b(?:mask|where|them|it)\b.*$", r"mask \1"),
    (rf"^show (?:me )?the area that (.+?) covers?,? as an? {MASK_NOUN}$", r"mask \1"),
    (rf"^(?:just|only) the ({MASK_NOUN} of .+?)(?:, nothing else)?$", r"give me the \1"),
    (rf"^where (is|are) (.+?)\? {_SHADE} {_IT}(?: in)?$", r"where \1 \2"),
    (r"^((?:mark|mask|find|show|point) .+?) using (an?) (box|rectangle|dot|circle)$", r"\1 with \2 \3"),
    (r"\bfind me (?=the |her |his |my )", "find "),
    (r"^plot (?=the |her |his |my |a |left |right )", "put a dot on "),
    (r"^(.+?)[,?.]+ right\? ?(?:which(?: one)?\??)?$", r"\1?"),
    (r"\bwhich (is|one is) (?:depicted|pictured|displayed|portrayed)(?: here)?, ", r"which \1 it: "),
)  # fmt: skip

_FRAMES: tuple[tuple[str, str], ...] = (
    # what stands before the request
    (r"^(?:my |the |our )?(?:goal|aim|task|request|wish|job|query|prompt|landmark needed|needed|wanted)[:,-]+ ", ""),
    (r"^(?:would|could|might|is|will) it (?:be )?possible (?:to |for you to )", ""),
    (r"^how (?:do|can|could|would|should|might) (?:i|you|we|one) ", ""),
    (r"^(?:can|could|does|will|is) (?:this|the|your) (?:thing|tool|model|node|app|program|ai|software|machine|network)"
     r" (?:able to |also |even )?", ""),
    (r"^(?:to|you|me|us) (?=[a-z]+ )", ""),
    (r"^i am after ", "find "),
    (rf"^(?:in|on) (?:this|the|my|that|his|her) (?:selfie|portrait|face|picture|photo|image)s?,? (?={_ASK})", ""),
    (r"^for (?:alignment|tracking|training|inpainting|a dataset),? (?:i|we) (?:need|want) ", "find "),
    (rf"^(?:of|out of|from|among) (?:all )?(?:the|these|those) [\w ]+?, (?={_ASK})", ""),
    (rf"^for (?:each|every|all)(?: of)?(?: the)? (.+?),? {_DRAW} (?:me )?(?:an? |the )?({BOX_NOUN}|{MASK_NOUN}"
     rf"|{DISC_NOUN})$", r"draw a \2 around each \1"),
    (r"^(?:there (?:is|are)|i (?:want|need|will|have|see|am)|we|since|because|as|later|this is|these are)\b[^;,.:]*"
     rf"[;,.:] (?:so |therefore |then |now |first |but |and )*(?={_ASK}\b)", ""),
    (r"^make for me ", "make me "),
    (r"^(?:i )?need mask (?:for|of) ", "mask "),
    (r"^(?:i )?need mask ", "mask "),
    (r", do it$", ""),
    (r"\? do (?:it|that|so)$", ""),
    # the request behind its thing
    (rf"^{_THING}{_BREAK}(?:as )?(?:an? |the )?{MASK_NOUN}$", r"mask \g<s>"),
    (rf"^{_THING}{_BREAK}(?:an? |the )?{BOX_NOUN}$", r"draw boxes around \g<s>"),
    (rf"^{_THING}{_BREAK}(?:just |only )?(?:put |place |draw )?(?:an? |the )?{DISC_NOUN}(?: (?:on|at) {_IT}| there)?$",
     r"put a dot on \g<s>"),
    (rf"^(?:see|look at) {_THING}{_BREAK}(?:put |place |draw )(?:an? |the )?{DISC_NOUN} (?:on it|there)$",
     r"put a dot on \g<s>"),
    (rf"^{_THING}{_BREAK}(?:(?:can|could|would|will) you )?{_SHADE} {_IT}(?: in)?$", r"mark \g<s>"),
    (rf"^{_THING}{_BREAK}(?:(?:can|could|would|will) you )?(?P<v>{_VERB}) {_IT}(?: in| out)?$", r"\g<v> \g<s>"),
    (rf"^{_THING} needs? (?:an? |the )?{BOX_NOUN}(?: (?:around|on|over) {_IT})?$", r"draw a box around \g<s>"),
    (rf"^{_THING} needs? (?:an? |the |to be )?{MASK_NOUN}(?: (?:on|over) {_IT})?$", r"mask \g<s>"),
    (rf"^(?P<r>{_VERB} .+?),? and (?:then )?(?:give|show|return|draw|make) (?:me )?(?:its|his|her|their|the) "
     rf"{MASK_NOUN}$", r"\g<r>"),
    # masks
    (r"\b(?:half|semi)[ -]transparent (?=box|mask|overlay|layer|rectangle|square)", ""),
    (r"\b(?:translucent|see-through) (?=box|overlay|layer|mask)", ""),
    (r"\b(?:outline|contour|object|foreground|region|pixel) mask\b", "mask"),
    (rf"^{_DRAW} (?:me )?(?:an? |the )?({MASK_NOUN}) (?:containing|showing|that (?:covers|shows|contains)"
     r"|on all of|over all of) ", r"draw a \1 of "),
    (r"^i want the mask of (?:the )?", "mask the "),
    (rf"^{_SHADE} the (?=(?:[\w-]+er|left|right|middle|[\w-]+est) one$)", "mark the "),
    # points
    (rf"^(?:tap|touch|press|click|make|put|mark)(?: on)? (?:an? |the )?{DISC_NOUN} where (?:is|are) ", "put a dot on "),
    (rf"^(?:tap|touch|press|click|make|put|mark)(?: on)? (?:an? |the )?(?:{DISC_NOUN}|place|position) where (.+?)"
     r"(?: is| are)?$", r"put a dot on \1"),
    (r"^(?:tap|touch|press|click|plot|estimate where)(?: on)? (.+?)(?: would be| is| are)?$", r"put a dot on \1"),
    (rf"^(?:stick|pin|put|place|set|put the) (?:an? |the |some )?{DISC_NOUN} (?:on|in|at|onto) (?:the middle of )?",
     "put a dot on "),
    (r"^(put a dot on .+?) and on (.+)$", r"\1 and \2"),
    (r"^whereabouts (?=is|are)", "where "),
    (r"^(?:work|figure|find|make|puzzle) out where (.+?) (is|are)(?: on .+)?$", r"where \2 \1"),
    # boxes
    (r"^(?:run|use|apply|start|try) (?:an? |the |your )?(?:object )?(?:detector|detection)s? (?:for|on|to find) ",
     "detect "),
    (r"^(?:an? |the )?(?:object )?(?:detector|detection)s? (?:for|on|of) ", "detect "),
    (rf"^(?:use|using) {BOX_NOUN} to (?:mark|show|indicate|find|point out|locate) ", "detect "),
    (r"^(?:i|we)? ?(?:need|want|find|get|get me) (?:the )?(?:object )?detections? (?:for|of|on) ", "detect "),
    (rf"^(?:yolo|coco|ssd|detr|detector)(?:[ -]?(?:v?\d+|style|format|like))* {BOX_NOUN} (?:for|around|of|on):? ",
     "detect "),
    (rf"^(?:an?|one) {BOX_NOUN} (?:per|for each|for every|each for) ", "detect every "),
    (rf"^find (?:bounding )?{BOX_NOUN}: ", "detect "),
    (rf"^(?:make|draw|put|set) {BOX_NOUN} on (?=the |every |all |each |my )", "detect "),
    (rf"^put (.+?) in an? {BOX_NOUN} so .*\bwhere\b.*$", r"detect \1"),
    (rf"^what would (?:be )?(the {_SHAPE} of .+?)(?: be)?\??$", r"draw \1"),
    # choices
    (r"\|", ", "),
    (rf"^(?:am i|are we) looking at {_LIST}?\s?$", r"is it \g<list>"),
    (rf"^(?:i would like to know |tell me |say )?(?:out of|of|among|from|between)(?: the \w+,)?:? {_LIST}, "
     r"(?:which|what)\b.*$", r"which is it: \g<list>?"),
    (rf"^(?:i would like to know |tell me |say )?which (?:one )?of {_LIST} (?:is (?:it|this|that|shown)|(?:it"
     rf"|this|that)"
     r" is|do you see)$", r"which is it: \g<list>?"),
    (rf"^(?!{_EDITING}).*\b(?:classes|class|labels|options|categories|candidates|choices)"
     r" ?[=:] ?[\[(]? ?(?P<list>[\w' ,-]+?) ?[\])]*$",
     r"which is it: \g<list>?"),
    (r"^.+? (?:says?|thinks?|claims?|insists?)(?: that)?(?: it is| this is)? (?P<a>an? [\w -]+?),? (?:and |but )?"
     r"(?:i|we|he|she|they|my \w+) (?:says?|thinks?|claims?)(?: it is| this is)? (?P<b>an? [\w -]+?)(?:[.,;?].*)?$",
     r"is it \g<a> or \g<b>?"),
    (rf"^(?:choose|pick|select|take) the (?:best|right|correct|closest) (?:\w+ )?(?:from|of|among):? {_LIST}$",
     r"which is it: \g<list>?"),
    (rf"^{PICTURE_NOUN} sharp$", "sharpen the image"),
)  # fmt: skip


def _pictured(char: str) -> bool:
    return unicodedata.category(char) in ("So", "Sk", "Cf") or "\ufe00" <= char <= "\ufe0f"


def tidied(text: str) -> str:
    """The request in one case without emoji, arrows, second thoughts and other words that stick to a subject."""
    words = plain("".join(c for c in text.replace("\u2192", "->") if not _pictured(c)))
    words = re.sub(r"\s*(?:-+|=+|>)> ?", ": ", re.sub(r"  +", " ", re.sub(r", *,", ",", words)))
    head, sep, items = words.rpartition(": ") if ": " in words else words.rpartition(" - ")
    if sep and "; " in items and all(len(item.split()) < 5 for item in items.split("; ")):
        words = head + sep + items.replace("; ", ", ")
    return _replaced(words.rstrip(" .!"), _TIDY)


def rephrased(words: str) -> str:
    """The request in a form that is read; what it was where it is in none of those known."""
    end = words.rstrip(" .!?,;:-")
    bare = re.sub(r",? (?:please|pls|plz|here)$", "", end)
    for _ in range(3):
        said = _replaced(_polite(bare), _FRAMES)
        if said == bare:
            break
        bare = said
    return words if bare == end else bare


def _polite(words: str) -> str:
    words = re.sub(r"^(?:please|pls|plz|hey|hi|ok|okay|so),? ", "", words)
    return re.sub(r"^(?:can|could|would|will) (?:you|u|we|i)(?: please)? ", "", words)


def _replaced(words: str, rules: Iterable[tuple[str, str]]) -> str:
    for pattern, form in rules:
        words = re.sub(pattern, form, words)
    return words.strip()
