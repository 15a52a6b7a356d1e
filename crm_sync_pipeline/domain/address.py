"""The one normal form of an e-mail address: in it an address is sent, compared and looked up."""

import re
from functools import lru_cache

import idna

from crm_sync_pipeline.domain.characters import INVISIBLE, INVISIBLE_BUT_JOINERS, code_points, trimmed, visible

_JOINERS = dict.fromkeys(map(ord, "\u200c\u200d"))
_PLAIN_LABEL = re.compile("[a-z0-9_-]{1,63}")
_NOT_IN_A_KEY = re.compile("[^!-~]+")


@lru_cache(maxsize=4096)  # it is asked for a dozen times for each contact
def normal_form(text: str) -> str:
    """Lower case, without blanks around it and invisible characters anywhere, an international domain as `xn--`.

    "" where nothing is left. What has no such form (see `address_problem`) keeps its characters. Only ASCII letters are
    lowered: no other letter can be sent, and "\u212a" (the sign for kelvin) is not the k of somebody else's address.
    """
    shown = trimmed(text)
    if shown.isascii():
        return shown.lower()
    bare = INVISIBLE.sub("", shown)
    if bare.isascii():
        return bare.lower()
    local, sign, bare_domain = bare.rpartition("@")
    if not sign:
        return _lowered(bare)
    domain = INVISIBLE_BUT_JOINERS.sub("", shown.rpartition("@")[2])
    return f"{_lowered(local)}@{_ascii_domain(domain) or _lowered(bare_domain)}"


def _lowered(text: str) -> str:
    return "".join(character.lower() if character.isascii() else character for character in text)


@lru_cache(maxsize=4096)
def _ascii_domain(domain: str) -> str | None:
    """The domain as the DNS has it (IDNA 2008, its characters mapped by UTS 46); None where it can't be one.

    By IDNA 2008, `straße.de` is another domain than `strasse.de`. A label that is ASCII, or `xn--` already, stays as it
    is. A zero-width joiner stays where a script needs it, as Persian does, and is left out elsewhere.
    """
    try:
        labels = idna.uts46_remap(domain, std3_rules=False, transitional=False).split(".")
        return ".".join(map(_ascii_label, labels))
    except UnicodeError:  # as idna's own errors are
        return None


def _ascii_label(label: str) -> str:
    if label.isascii():
        if not _PLAIN_LABEL.fullmatch(label):
            raise idna.IDNAError(f"{len(label)} characters that are not a label")
        return label
    try:
        return idna.alabel(label).decode()
    except idna.IDNAError:
        without = label.translate(_JOINERS)
        if without == label:
            raise
        return _ascii_label(without)


def address_problem(address: str) -> tuple[str, str] | None:
    """Reason and message for a normal form that can't be sent as it is; it holds no part of the address. None: it can.

    Mail to a local part that is not ASCII needs SMTPUTF8. No vendor says that it takes such an address, and those that
    were tried refuse every domain that is not ASCII.
    """
    if address.isascii():
        return None
    local, sign, domain = address.rpartition("@")
    if sign and local.isascii():
        return "invalid_domain", f"The domain of its e-mail address has no valid ASCII form; it holds {_named(domain)}"
    return (
        "address_not_ascii",
        "Only the domain of an e-mail address may hold characters beyond ASCII; this one holds "
        f"{_named(local or address)} elsewhere",
    )


_NAMED = 5


def _named(text: str) -> str:
    odd = "".join(dict.fromkeys(character for character in text if not character.isascii()))
    return code_points(odd[:_NAMED]) + (" and others" if len(odd) > _NAMED else "")


def address_note(text: str) -> str:
    """What was left out inside the address of a contact that was sent; "" for nothing."""
    inside = trimmed(text)
    needs_joiners = normal_form(inside) != normal_form(inside.translate(_JOINERS))
    left_out = "".join((INVISIBLE_BUT_JOINERS if needs_joiners else INVISIBLE).findall(inside))
    return f"Sent without what is invisible in its e-mail address ({code_points(left_out)})" if left_out else ""


def shown_address(text: str) -> str:
    """The address for a person: every character can be seen, and what is sent in its place stands behind it."""
    sent = normal_form(text)
    differs = sent.isascii() and sent and not trimmed(text).isascii()
    return f"{visible(text)} (sent as {sent})" if differs else visible(text)


def search_key(address: str) -> str:
    """What the database can compare: the address without anything but visible ASCII characters, in lower case.

    Equal for all texts whose normal form is the same and ASCII, unless their domain is not ASCII: those begin with the
    same local part. Which of the rows that are found by it have the address, `normal_form` says.
    """
    return _NOT_IN_A_KEY.sub("", address).lower()
