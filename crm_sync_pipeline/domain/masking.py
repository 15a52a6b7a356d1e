"""Personal data in texts of others: e-mail addresses and phone numbers are masked, what is neither stays.

Every pattern reads a stretch of bounded length from where it begins, or from the beginning of a word, so that the time
grows with the length of the text alone: vendors' answers can be long.
"""

import re

PHONE_MASK = "<phone number>"

# The sign of an address in a URL (encoded once or more often), in HTML, in JSON and in full width.
_SPELT_SIGN = re.compile(
    r"(?<=\S)(?:%(?:25){0,4}40|&\#0{0,4}64;|&\#x0{0,4}40;|&commat;|\\{1,4}u0040|\uff20|\ufe6b)(?=\S)", re.IGNORECASE
)
_QUOTE = r"""(?:\\{0,8}"|%(?:25){0,4}22|&quot;|&\#34;|&\#x22;)"""
_QUOTED_LOCAL_PART = re.compile(rf"""{_QUOTE}((?:[^"\\\n]|\\.){{1,128}}?){_QUOTE}(?=@)""", re.IGNORECASE)
_LITERAL_DOMAIN = re.compile(r"""(?<![^\s<>"(),;:\[\]])[^\s<>"(),;:\[\]]+@\[[^\]\s]{1,100}\]""")
_WORD = re.compile(r'[^\s<>"(),;:\[\]]+')
_SIGN_IN_A_WORD = re.compile(r".@.")
_ADDRESS = re.compile(r"(?P<way>/[^@%]*/)?\W?(?P<first>\w).*@(?P<domain>(?:[\w-]+\.)+[\w-]+)")

# What is not the next group of a number: a date, a time, a UUID.
_NO_GROUP = r"(?!(?:19|20)\d\d-[01]\d-[0-3]\d|\d\d?\.\d\d?\.\d{4}(?!\d)|\d\d?:\d\d|[0-9a-f]{8}-[0-9a-f]{4}-)"
_IP_ADDRESS = r"(?!\d{1,3}(?:\.\d{1,3}){3}(?![\d.]))"
_DIGIT = rf"(?:\d|[ \xa0./()-]{{1,3}}{_NO_GROUP}\d)"
_ALONE = r"(?<![\w.,:/+%#=-])"
_LABEL = (
    r"(?:phone|(?<![a-z])(?:sms|whatsapp|wa\.me|mobil|handy|landline|msisdn|gsm|fax|tel(?![a-z])|telefon|teléfono"
    r"|téléphone|rufnummer))[a-z_]{0,20}"
)
_BETWEEN = r"""(?:[\s:=#'"\\({\[&;/]|numbers?|no\.?|nr\.?|quot|value|with|is|was|attribute|field|identifier){1,12}"""
_PHONE_NUMBER = re.compile(
    "|".join(
        (
            rf"(?<!\w)(?:\+|%2b|&\#43;|\\u002b)\(?[1-9](?:\d{{10,}}|{_DIGIT}{{6,14}}\d*)",
            rf"{_ALONE}00[1-9]\d{{8,12}}(?!\w)",
            rf"{_ALONE}0[1-9]\d{{0,3}}[ \xa0/-]{{1,3}}{_NO_GROUP}\d{{3}}{_DIGIT}{{2,8}}\d*(?![\w-])",
            rf"{_ALONE}\(0[1-9]\d{{0,3}}\)[ \xa0/-]{{0,3}}\d{_DIGIT}{{4,9}}\d*(?![\w-])",
            rf"{_ALONE}0[1-9](?:[ .-]\d\d){{4}}(?![\w-])",
            rf"{_ALONE}(?:1[ .-])?(?:[2-9]\d\d|\([2-9]\d\d\))[ .-]{{1,2}}[2-9]\d\d[ .-]\d{{4}}(?![\w-])",
            rf"{_LABEL}{_BETWEEN}(?P<labelled>{_NO_GROUP}{_IP_ADDRESS}\(?\d{_DIGIT}{{6,14}}\d*)(?!\w)",
            rf"(?<![\w.-])(?P<named_later>\d{{8,15}})(?=['\"]?\s(?:is|was|has|isn't)\b[^\d\n.:;]{{0,40}}{_LABEL})",
        )
    ),
    re.IGNORECASE,
)
_ID_BEFORE = re.compile(
    r"(?:\bids?|request|process|list|contact|code|status|trace|ref\w{0,6}|time\w{0,5}|\bat|#)\W{0,3}\Z", re.I
)


def redacted(text: str) -> str:
    """The text with every e-mail address in it as a***@example.com, and every phone number as <phone number>.

    What is like an address, and can't be taken apart, is masked whole. A number counts as a phone number by its plus,
    by how its digits are grouped, or by a word beside it that says so: ids, dates, times and counts stay.
    """
    text = _SPELT_SIGN.sub("@", text)
    if "@" in text:
        text = _QUOTED_LOCAL_PART.sub(lambda found: f"{_first_letter(found[1])}***", text)
        text = _LITERAL_DOMAIN.sub("<address>", text)
        text = _WORD.sub(lambda word: _masked(word[0]) if _SIGN_IN_A_WORD.search(word[0]) else word[0], text)
    return _PHONE_NUMBER.sub(_without_number, text)


def _first_letter(local_part: str) -> str:
    found = re.search(r"\w", local_part)
    return found[0] if found else ""


def _masked(word: str) -> str:
    found = _ADDRESS.match(word)
    return f"{found['way'] or ''}{found['first']}***@{found['domain']}" if found else "<address>"


def _without_number(found: re.Match[str]) -> str:
    if found["labelled"]:
        return found[0].removesuffix(found["labelled"]) + PHONE_MASK
    if found["named_later"] and _ID_BEFORE.search(found.string[max(0, found.start() - 20) : found.start()]):
        return found[0]
    return PHONE_MASK
