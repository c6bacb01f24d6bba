"""The words that free words are understood by: verbs, nouns and phrases as alternatives of a regular expression."""

from __future__ import annotations

# What is asked about, as a whole.
PICTURE_NOUN = (
    r"(?:drawings?|paintings?|illustrations?|pictures?|images?|photos?|photographs?|pics?|shots?|snaps?|snapshots?"
    r"|screenshots?|scenes?|scans?"
    r"|pictue|imgs?)"
)
DETERMINER = (
    r"(?:the|this|that|these|those|my|our|your|a|an|its|his|her|their|whole|entire|same|attached|given)"
)
PICTURE = rf"(?:(?:{DETERMINER} )*{PICTURE_NOUN}|it|this|that|this one|everything|the whole thing)"
INSIDE = rf"(?:in|on|from|of|within|inside|across|throughout|for) (?:{DETERMINER} )+(?:\w+ )?{PICTURE_NOUN}"

# What may stand before or after a question and says nothing about it.
OPENINGS = (
    r"(?:alexa|(?:hey |hi )?siri|(?:(?:ok|okay|hey|hi|hello) )(?:google|computer|there)|computer|assistant"
    r"|good (?:morning|evening|afternoon|day)|thanks for|thank you for|next|try(?! to )|the task|request)[,!.:]? ",
    r"(?:of|among|from|out of) (?:all )?(?:the |these )(?:[a-z]+ )?[a-z]+,? (?=(?:mask|mark|segment|highlight"
    r"|find|select)\b)",
    r"(?:i|we) (?:only )?(?:care about|mean|am interested in) ",
    r"(?:would it be|is it|is there any chance|any chance) (?:possible )?to (?:get |have )?",
    r"(?:let me|can i|could i|may i) (?:have|get|see) ",
    r"(?:please|pls|plz|kindly|hey|hi|hello|ok|okay|now|just|so|well|then|and|also|first|simply|quickly|alright|thanks"
    r"|carefully|precisely|accurately|automatically|maybe|perhaps|excuse me|sorry)[,!.:]? ",
    r"(?:can|could|would|will|might) (?:you|we|i)(?: please| kindly| possibly| maybe| just| quickly| perhaps)*"
    r"(?: mind| try to| go ahead and| be so kind as to| be able to| help me(?: out)?(?: to| by| with)?)?,? ",
    r"(?:i|we) (?:would|will|do|really|just|only|also|\W)*(?:want|need|like|love|wish|wanna|have)(?: for)?(?: you)?"
    r"(?: to)?(?: get| have| see| know)? ",
    r"i am (?:trying to|interested in) ",
    r"(?:try to|attempt to|help me(?: to)?|let us|let me(?: see| know)?|go ahead and|do me a favou?r and|feel free to"
    r"|it would be (?:nice|great|good) if you (?:could|would)|is it possible to|are you able to|make sure to"
    r"|do you think you (?:can|could)|(?:your|the|my) (?:task|job|goal|request|question) is(?: to)?:?"
    r"|what i (?:want|need) is(?: to)?|be so kind (?:as to|and)|you (?:should|must|need to|have to|can)|how about"
    r"|i wonder|do you know|any chance you (?:can|could)|a request:|task:|instruction:) ",
    rf"(?:in|on|for|from|with|given|using|within|looking at) (?:{DETERMINER} )+(?:\w+ )?{PICTURE_NOUN},? ",
)
CLOSINGS = (
    r"(?:,? |,)(?:that |which |do |can )?you (?:can )?(?:find|spot|see)",
    r"(?:,? |,)(?:please|pls|plz|thanks(?: a lot| so much)?|thank you(?: very much| so much)?|for me|for us|if you can"
    r"|if possible|if you could|if you would|right now|now|would you|will you|can you|could you|ok|okay|asap|as well"
    r"|carefully|precisely|exactly|accurately|somewhere|anywhere|right away|quickly|cheers|again|too)",
    rf"(?:,? |,)(?:that (?:is|are|you see|you can see|i see|can be seen|appears?|exists?) |which (?:is|are) "
    rf"|shown |visible "
    rf"|present |there |seen |depicted |found |appearing |to be seen )*{INSIDE}",
    r"(?:,? |,)(?:that |which )?(?:you (?:can )?see|is there|are there|is visible|are visible|is shown|there is"
    r"|there are)",
    r"(?:,? |,)(?:here|there)",
    r"(?:,? |,)(?:and |but |while )?(?:leave|keep|leaving|keeping|change|do not touch|do not change|not changing"
    r"|without changing|without touching) (?:the rest|everything else|all else|nothing else|anything else|the others?"
    r"|the background|the remaining part)(?: of it| of the picture)?(?: as (?:it is|is|it was)| alone| unchanged"
    r"| untouched| the same| intact| like it is)?",
    r"(?:,? |,)(?:and )?(?:nothing (?:else|more)|no more)",
)
CONTRACTIONS: tuple[tuple[str, str], ...] = (
    (r"\b(where|what|who|which|how|that|there|here|he|she)'?s (?!own\b)", r"\1 is "),
    (r"\bit's ", "it is "),
    (r"\bits (?=(?:too|so|very|rather|quite|really|a|an|all|not|full|out|noisy|grainy|blurry|blurred)\b)", "it is "),
    (r"\b(where|what|which|who|they|we|you)'?re\b", r"\1 are"),
    (r"\bi'?m\b", "i am"),
    (r"\bi'd\b", "i would"),
    (r"\blet's\b", "let us"),
    (r"\b(is|are|was|does|do|did|has|would|could|should)n'?t\b", r"\1 not"),
    (r"\bcan'?t\b", "can not"),
    (r"\bdon't\b", "do not"),
    (r"\bwanna\b", "want to"),
    (r"\bgonna\b", "going to"),
    (r"\bcolour", "color"),
    (r"\brecognise", "recognize"),
    (r"\b(?:please|pls|plz)\b[,:]?(?= \S)", ""),
    (r"^(?:do not )?(mask|mark|segment|highlight|select) (?:anything|nothing)(?: else)? (?:but|except) ", r"\1 only "),
    (r"^nothing but ", "only "),
    (r"\band one (?=(?:for|on|over|around|of) )", "and "),
    (r"\bgrey\b", "gray"),
    (r"\bcentre\b", "center"),
    (r"\bwater[- ]mark", "watermark"),
    (r"\b(de|un)[- ](nois|blur|watermark|grain)", r"\1\2"),
)

# A request's verb may come as "-ing": "would you mind segmenting".
VERBS = (
    "segment mask mark highlight select isolate extract outline trace shade label cover overlay find look search spot "
    "identify pick show point cut separate detect locate box count draw put place add make create generate give "
    "circle "
    "remove delete erase take get clean clear wipe reduce fix sharpen deblur denoise restore paint color turn change "
    "replace tell classify decide frame enclose surround localize dot pin set lay indicate tag eliminate correct undo "
    "improve increase"
).split()

# How a mask, a box and a point are asked for.
SEARCH = (
    r"(?:find(?: me| us| out)?|look for|search for|spot|identify|show(?: me| us)?|point (?:me |us )?(?:out|to|at"
    r"|towards?)|pinpoint"
    r"|indicate|reveal|track down|recogni[sz]e|pick(?: out)?|locali[sz]e|locate|detect|discover|seek|spotlight)"
)
MASKING = (
    r"(?:segment(?: out| off)?|segmentate|mask(?: out| off)?|mark(?: out| up| off)?|highlight|select|isolate|extract"
    r"|outline|trace(?: out)?|delineate|label|tag|cut ?out|lasso|silhouette|annotate|contour|carve out|trace around)"
)
STRICT_MASKING = (
    r"(?:segment(?: out| off)?|segmentate|mask(?: out| off)?|cut ?out|isolate|extract|select"
    r"|silhouette|lasso)"
)
# A mask where the color stands with "in"; without, they change the thing.
COLORING = r"(?:paint|color(?: in)?|tint|overlay|cover|shade(?: in)?|fill(?: in)?)"
BOXING = r"(?:box(?: in| up| off| out)?|detect|locate|locali[sz]e|bound|bracket|count|draw boxes around)"
DOTTING = r"(?:circle|encircle|ring|dot|pin|point|track)"
MAKING = (
    r"(?:(?:do|run|perform|have|let me have|get me|i need|i want|we need|make|create|draw|generate|give|show"
    r"|produce|compute|calculate|return|output|put|lay|place|add|apply"
    r"|get|want"
    r"|need|provide|paint|render|build|set|drop|stick|find|predict|answer with|use|estimate|report|tell|overlay|sketch"
    r"|what is|what are|where is|where are)(?: me| us)? )"
)
ARTICLE = (
    r"(?:clean |black and white |separate |exact |rough |pixel-accurate |nice |neat |good |a |an |the |one "
    r"|some |any |single |tight |small |big |little |colored |thin |thick |precise "
    r"|accurate )*"
)
MASK_NOUN = (
    r"(?:(?:segmentation|binary|pixel|object|semantic|see-through|transparent|instance|alpha) )*"
    r"(?:mask images?|masks?|segmentations?|overlays?|layers?|silhouettes?|cut-?outs?|mattes?|selections?"
    r"|outlines?|contours?"
    r"|segmentation maps?|highlights?|shape|region)"
)
BOX_NOUN = (
    r"(?:(?:bounding|detection|filled|see-through|object|rectangular|square|target) )*"
    r"(?:box|boxes|bbox|bboxes|bounding-box|rectangles?|rects?|frames?|squares?)"
)
DISC_NOUN = (
    r"(?:(?:filled|key) )*(?:dots?|dis[ck]s?|points?|spots?|markers?|circles?|pins?|marks?|keypoints?|landmarks?"
    r"|crosshairs?|rings?|cross|crosses|arrows?|flags?|x)"
)
# Marks that are as often things of the picture: a color before one is the mark's only where it is to be drawn.
SHAPE_NOUN = (
    r"(?:(?:filled|square|target|object) )*(?:shape|region|silhouettes?|outlines?|contours?|box|boxes|rectangles?"
    r"|rects?|frames?|squares?|dots?|dis[ck]s?|points?|spots?|markers?|circles?|pins?|marks?|crosshairs?|rings?|cross"
    r"|crosses|arrows?|flags?|x)"
)
DRAWING = (
    r"(?:put|place|draw|lay|add|set|make|give|show|use|stick|drop|paint|overlay|create|produce|render|return|get"
    r"|sketch|need|want|provide|generate|have|receive|mark)"
)
PIXELS = (
    r"(?:(?:all |all the |every |each |only |the |just )*(?:pixels?|area|areas|region|regions|shape|outline|part"
    r"|instances?|occurrences?|location|position|place|coordinates?|whereabouts|extent)(?: that| which)?"
    r"(?: belonging to| of| that (?:is|are)| part of| covered by| occupied by| showing| belong to) )"
)

# Two words for one thing.
PAIRS = (
    r"\b(?:salt and pepper|pepper and salt|bread and butter|cup and saucer|fish and chips|mac(?:aroni)? and cheese"
    r"|ham and cheese|ham and eggs|bow and arrows?|horse and carriage|skull and crossbones|ball and chain"
    r"|lock and key|needle and thread|pen and paper|mortar and pestle|gin and tonic|stars and stripes"
    r"|hammer and sickle|peanut butter and jelly|bed and breakfast|hook and eye|nuts and bolts|rock and roll)\b"
)

# Points that stand on a figure or a face: words of one part, whose side and owner are said beside it.
FACE_PART = (
    r"(?:eyebrows?|brows?|(?:mouth|lip) corners?|corners? of (?:the |his |her )?(?:mouth|lips)|chin|lips?|mouth"
    r"|cheeks?"
    r"|forehead|pupils?|nostrils?|jaw|jawline|eyelids?|temples?|ear ?lobes?|eyelash(?:es)?|iris(?:es)?"
    r"|bridge of the nose|tip of the nose|nose tip|top of the head|eye corners?|corners? of the (?:left |right )?eye)"
)
BODY_PART = (
    r"(?:shoulders?|elbows?|wrists?|hips?|knees?|ankles?|neck|paws?|hoof|hoofs|hooves|wing ?tips?|tail ?tips?"
    r"|tips? of (?:the )?(?:tail|wing)|beak|snout|muzzle|throat|pelvis|armpits?|fingertips?|kneecaps?|knuckles?|heels?"
    r"|collarbones?)"
)
SHARED_PART = r"(?:eyes?|ears?|nose)"  # of both
LIMB = (
    r"(?:hands?|foot|feet|thumbs?|fingers?|toes?|head|tail|wings?|legs?|arms?)"  # as often a thing as a point
)
THING_PART = (
    r"(?:tip|corner|wheel|handle|top|base|roof|edge|end|stem|center|middle|rim|knob|button|headlight|peak|point|spout"
    r"|chimney|mast|hub|door ?knob)s?"
)
SIDE = r"(?:(?:upper|lower|front|back|rear|hind|near|far|outer|inner|left|right|both|two|all|each|every|either)[ -])*"
POINT_SETS: dict[str, tuple[str, tuple[str, ...]]] = {
    r"(?:facial|face) (?:landmarks?|features?|keypoints?|points?|parts?)|landmarks?(?: of (?:the|his|her|this"
    r"|a) face)?": (
        "align",
        ("the left eye", "the right eye", "the nose", "the left mouth corner", "the right mouth corner"),
    ),
    r"(?:(?:body|human|skeleton|pose) )?(?:joints?|key ?points?|pose|skeleton|body parts?|body points?)": (
        "keypoints",
        ("the nose", "the left wrist", "the right wrist", "the left ankle", "the right ankle"),
    ),
}
HUMAN = (
    r"(?:man|woman|child|boy|girl|person|people|guy|lady|kid|baby|him|her|face|player|runner|dancer|men|women|human"
    r"|portrait|model|someone)"
)
FACE = r"(?:face|portrait|head|selfie)"

# What tells one thing from others of its kind.
SUPERLATIVE = (
    r"\b(?:(?:left|right|top|bottom|upper|lower|front|rear|fore|hinder|outer|inner)most|biggest|largest|smallest"
    r"|tallest|shortest|longest|nearest|closest|farthest|furthest|highest|lowest|brightest|darkest|widest|oldest"
    r"|youngest|thinnest|thickest|fattest|lightest|heaviest|tiniest|roundest|narrowest|newest|reddest|bluest|first"
    r"|second|third|fourth|fifth|last|middle|central|only|other|bigger|smaller|larger|taller|shorter|longer|nearer"
    r"|closer|farther|darker|brighter|lighter|upper|lower|left|right|top|bottom|front|back|center|lone|single"
    r"|remaining|left-hand|right-hand|1st|2nd|3rd|most \w+|least \w+)\b"
)
RELATION = (
    r" (?:left of|right of|above|below|beneath|under|underneath|over|next to|beside|besides|behind|before|in|on|at|to"
    r"|between|near|nearest|closest|close|nearby|inside|outside|across|opposite|against|facing|by|around|with|without"
    r"|eating|drinking|playing|jumping|driving|flying|reading|wearing|holding|carrying|standing|sitting|riding"
    r"|looking|lying|running|walking|touching|having|further|farther"
    r"|that|which|who|whose|leaning|among|along|atop|alongside|amid|beyond|from|than|adjacent|pointing|past|ahead"
    r"|swimming|hanging|sleeping|climbing|crossing|resting|kneeling) "
)
MANY = r"^(?:all|every|each|both|any|several|two|three|four|five|many|multiple|some|these|those)\b"
PLURALS = frozenset(
    "people men women children feet teeth mice geese animals cattle sheep fish eyes them".split()
)
SINGULARS = frozenset(
    "bus glass grass cross dress gas lens moss canvas cactus octopus tennis class virus chess".split()
)
PLACES = (
    r"^(?:the |its )?(?:far )?(?:(?:top|bottom|upper|lower|left|right|very)[ -]?)*(?:left|right|top|bottom"
    r"|middle|center"
    r"|corner|side|edge|background|foreground|front|back|floor|ground|sky|wall)?(?: (?:hand )?(?:corner|side|edge|half"
    r"|part))?(?: (?:of|in) .+)?$"
)
EXCEPTION = (
    r"(?:but(?: not)?|except(?:ing)?(?: for)?|excluding|besides|apart from|aside from|other than|save(?: for)?"
    r"|minus|without"
    r"|outside(?: of)?|(?:that|which|what) (?:is|are|does) not(?: belong to| part of)?|not(?: belonging to)?)"
)
EVERYTHING = (
    r"(?:everything|anything|all|whatever|what|all of it|all pixels|all the pixels|every pixel|every part|all things"
    r"|all the things|all objects|all the objects|every object|everything there|the rest|the whole (?:picture"
    r"|image|photo)"
    rf"|the entire (?:picture|image|photo)|the (?:picture|image|photo))(?: {INSIDE}| else| that)?"
)
# A subject that says what is not meant; "no parking sign" is a thing.
# "The red and the blue star" are two stars; "the red and blue star" is one.
TELLING = (
    r"(?:black|white|red|blue|green|yellow|brown|gray|orange|pink|purple|cyan|big|small|large|little|tiny|tall|short"
    r"|long|old|young|left|right|upper|lower|first|second|third|last|front|back|round|[a-z]+(?:est|most|er))"
)
NEGATION = (
    r"(?:not|no|non|(?:what|whatever|anything|everything|all)(?: that| which)? (?:is|are) not|(?:the |all |all the )?"
    r"(?:pixels?|parts?|areas?|regions?) (?:that|which) (?:is|are|do|does) not(?: show| belong to)?)"
    r" (?!.*\bsigns?$)(.+)"
)

# Restoration: what is wrong with a picture, what is to be done about it, and what means something else.
NOISE = (
    r"(?:nois(?:e|es|iness)|grain|grains|graininess|speckles?|specks?|speckling|noiseless|static|film grain"
    r"|denois\w*|noise-free"
    r"|grain-free"
    r"|degrain\w*|noisy|grainy|speckled|speckly)"
)
BLUR = (
    r"(?:blur|blurs|blurring|blurriness|blurry|blurred|deblur\w*|unblur\w*|sharpen\w*|sharp|sharper|sharpness|focus"
    r"|refocus\w*|crisp|crisper|camera shake|shake|shaken|shaky|focused|out-of-focus|fuzzy|fuzziness|unsharp"
    r"|softness|fine details?"
    r"|details|edges|defocus\w*|smear\w*)"
)
WATERMARK = r"(?:watermarks?|watermarked|watermark-free|unwatermark\w*|dewatermark\w*|watermarking)"
LETTERING = (
    r"(?:logos?|words|text|texts|letters|lettering|writing|writings|stamp|stamps|captions?|copyright|signature"
    r"|branding"
    r"|time ?stamps?|date stamps?|overlay|overlays|text-free|mark|marks|stock|imprint|inscription)"
)
REMOVING = (
    r"(?:remove|removal|removed|delete|erase|take|get rid|rid|clear|clean|wipe|strip|eliminate|scrub|hide|lose|without"
    r"|free|undo|drop|cut|kill|gone|rub|edit out|make go away|disappear|vanish|no more|off)"
)
# The words that a wish to have a picture restored is made of, beside what is wrong with it.
RESTORING = frozenset(
    (
        "holiday strongly amount level levels bring tone even attached mum says her contains needs cleaning "
        "cleaned same "
        "just but without do something about why hate chance chances terrible heavily slightly faint big white "
        "translucent "
        "diagonal repeated pattern getty shutterstock stock sample preview draft notice photographer's words "
        "word written "
        "lies lying changing magic way bought stand fill inpaint area paint gone reconstruct places place where "
        "retouch "
        "lift peel remover run invisible let covered clean somebody someone stamped their whoever ruined "
        "spoiled spoils "
        "because missed wrong crystal anything focused turn turned colors keep reverse version one selfie salt "
        "pepper chroma "
        "shadows areas background sky pixels coloured colored dots random specks "
        "remove removal removed removing delete erase take taking get rid of reduce reduction reducing filter "
        "filtering "
        "out clean cleaned cleaner cleanup clear clearer cleared away up off lessen lower suppress cut down undo fix "
        "fixed correct correction eliminate strip wipe scrub hide lose minimize decrease diminish smooth "
        "smoother smoothen "
        "smoothing repair restore recover bring back improve make made give show return produce without free "
        "from with a "
        "an the all any some this that these those my our your its it is are was were looks look looking seems came "
        "comes got has have had been be too so very really quite rather bit little lot lots much more less of "
        "in on at "
        "over for to into as and but or by again not no there i we you me us can could would will do does did please "
        "want need like see version copy picture image photo photograph pic shot snapshot screenshot scene scan "
        "pictures "
        "images photos bad badly full covered heavy strong ugly annoying visible please possible everything "
        "whole entire "
        "motion camera iso high sensor film digital color colour luminance gaussian image-noise sharp crisp "
        "artifacts artefacts quality lighter old taken night dark dim light handheld moved while moving help "
        "tidy apply use using run perform do done enhance increase boost raise add some more bigger "
        "sharpening slightly completely entirely thoroughly gently remaining unwanted random disturbing "
        "see-through transparent semi-transparent printed across overlaid overlayed top copyright stock-photo agency "
        "website url printed put someone somebody left corner corners bottom right middle center photographer "
        "name fully "
        "go going come should must now just only also them they when where which what if still deal treat handle "
        "sort turn turned put focus how rescue save process processed processing original original's underlying "
        "behind "
        "beneath hidden hides hiding covers covering took phone camera's indoors outside taking happened "
        "happens there's "
        "mess messy beautiful again's reveal keep keeping edges edge details detail fine texture lost "
        "soft hazy out-of-focus lens bad-focus well properly nice nicely good better perfect perfectly"
    ).split()
)
SPOILING = (
    r"\b(?:(?:add|introduce|insert|simulate|imitate|create|increase|apply|write|need|want|more|put|place|with "
    r"(?:a|some)|like an?)"
    r"(?: (?:a|an|the|some|more|bit|little|lot|of|nice|old|film|motion|gaussian|heavy|light|red|see-through|my|new))*"
    r" (?:noise|grain|graininess|blur|watermarks?|logo|text|caption|letters|stamp|writing|signature|timestamp"
    r"|speckles)"
    r"|(?<!less )(?<!not )(?<!too )(?<!so )(?<!very )(?<!is )(?:noisier|grainier|blurrier)"
    r"|(?:make|turn|render|leave) (?:(?!less\b|not\b|noisy|grainy|blurry|blurred)\w+ )*(?:noisy|grainy|blurry"
    r"|blurred|fuzzy)$"
    r"|(?<!the )(?<!this )(?<!any )(?<!of )blur (?:the|this|my|it|everything|all|a|out(?! of))(?! (?:is|away)))\b"
)
