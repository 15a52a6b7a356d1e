"""E-mail addresses as they get into a table, and what each of them is. `{}` tells one row's from the next."""

from collections.abc import Mapping

SENT: Mapping[str, tuple[str, str]] = {
    "plain": ("p{}@example.com", "p{}@example.com"),
    "upper case": ("P{}@EXAMPLE.COM", "p{}@example.com"),
    "mixed case": ("P{}@Example.Org", "p{}@example.org"),
    "blanks": ("  p{}@example.com   ", "p{}@example.com"),
    "tab": ("\tp{}@example.com\t", "p{}@example.com"),
    "CR": ("p{}@example.com\r", "p{}@example.com"),
    "CR LF": ("p{}@example.com\r\n", "p{}@example.com"),
    "vertical tab and form feed": ("\x0bp{}@example.com\x0c", "p{}@example.com"),
    "control characters": ("\x1fp{}@example.com\x7f", "p{}@example.com"),
    "next line": ("p{}@example.com\x85", "p{}@example.com"),
    "no-break spaces": ("\u00a0p{}@example.com\u00a0", "p{}@example.com"),
    "thin spaces": ("\u2009p{}@example.com\u202f", "p{}@example.com"),
    "ideographic space": ("p{}@example.com\u3000", "p{}@example.com"),
    "line separator": ("p{}@example.com\u2028", "p{}@example.com"),
    "byte order mark": ("\ufeffp{}@example.com", "p{}@example.com"),
    "zero-width space at the end": ("p{}@example.com\u200b", "p{}@example.com"),
    "zero-width space and blanks": (" \u200b p{}@example.com \u200b\r", "p{}@example.com"),
    "direction marks": ("\u202ap{}@example.com\u202c", "p{}@example.com"),
    "zero-width space inside": ("p{}@\u200bexample.com", "p{}@example.com"),
    "zero-width space before the @": ("p{}\u200b@example.com", "p{}@example.com"),
    "soft hyphen": ("p{}@exam\u00adple.com", "p{}@example.com"),
    "word joiner": ("p\u2060{}@example.com", "p{}@example.com"),
    "left-to-right mark": ("p{}@example.com\u200e", "p{}@example.com"),
    "tag": ("p{}+news@example.com", "p{}+news@example.com"),
    "apostrophe": ("o'p{}@example.com", "o'p{}@example.com"),
    "signs": ("p{}_x.y-z&co@example.com", "p{}_x.y-z&co@example.com"),
    "German domain": ("p{}@müller.example", "p{}@xn--mller-kva.example"),
    "German domain, upper case": ("P{}@MÜLLER.EXAMPLE", "p{}@xn--mller-kva.example"),
    "German domain, decomposed": ("p{}@mu\u0308ller.example", "p{}@xn--mller-kva.example"),
    "German domain, zero-width space": ("p{}@mül\u200bler.example", "p{}@xn--mller-kva.example"),
    "sharp s": ("p{}@straße.example", "p{}@xn--strae-oqa.example"),
    "punycode": ("p{}@xn--bcher-kva.example", "p{}@xn--bcher-kva.example"),
    "punycode, upper case": ("p{}@XN--BCHER-KVA.EXAMPLE", "p{}@xn--bcher-kva.example"),
    "Greek domain": ("p{}@βόλος.example", "p{}@xn--nxasmm1c.example"),
    "Cyrillic domain": ("p{}@правительство.example", "p{}@xn--80aealotwbjpid2k.example"),
    "Japanese domain, ideographic stop": ("p{}@例え。テスト", "p{}@xn--r8jz45g.xn--zckzah"),
    "Persian domain, joiner that belongs to it": (
        "p{}@\u0646\u0627\u0645\u0647\u200c\u0627\u06cc.example",
        "p{}@xn--mgba3gch31f060k.example",
    ),
    "wide domain": ("p{}@\uff45\uff58\uff41\uff4d\uff50\uff4c\uff45\uff0ecom", "p{}@example.com"),
}
"""As it stands in the table, and as it is sent. The ASCII forms are those of the DNS, written down by hand."""

NAMED: Mapping[str, str] = {
    "zero-width space inside": "U+200B",
    "zero-width space before the @": "U+200B",
    "soft hyphen": "U+00AD",
    "word joiner": "U+2060",
    "German domain, zero-width space": "U+200B",
}
"""What stood inside an address and was left out: `explain` names it."""

NO_ADDRESS = "no_email"
REFUSED = "invalid_email"
NOT_ASCII = "address_not_ascii"
BAD_DOMAIN = "invalid_domain"

IN_ERROR: Mapping[str, tuple[str, str | None]] = {
    "nothing, NULL": (NO_ADDRESS, None),
    "nothing, empty": (NO_ADDRESS, ""),
    "nothing, blanks": (NO_ADDRESS, "   "),
    "nothing, tab, CR and no-break space": (NO_ADDRESS, "\t\r\u00a0"),
    "nothing, zero-width space": (NO_ADDRESS, "\u200b"),
    "nothing, all invisible": (NO_ADDRESS, "\ufeff\u2060\u00ad\u200e"),
    "no @": (REFUSED, "p{}.example.com"),
    "at in words": (REFUSED, "p{}(at)example.com"),
    "two @": (REFUSED, "p{}@@example.com"),
    "nothing before the @": (REFUSED, "@p{}.example.com"),
    "nothing behind the @": (REFUSED, "p{}@"),
    "blank inside": (REFUSED, "p {}@example.com"),
    "line break inside": (REFUSED, "p{}@example\n.com"),
    "one word for a domain": (REFUSED, "p{}@localhost"),
    "two dots": (REFUSED, "p{}@example..com"),
    "comma list": (REFUSED, "p{0}@example.com, q{0}@example.com"),
    "semicolon list": (REFUSED, "p{0}@example.com;q{0}@example.com"),
    "with a name": (REFUSED, "Eve <p{}@example.com>"),
    "mailto": (REFUSED, "mailto:p{}@example.com"),
    "quoted local part": (REFUSED, '"p {}"@example.com'),  # valid by RFC 5321; whether Brevo takes it is unverified
    "too long": (REFUSED, f"{'p' * 65}{{}}@example.com"),
    "n/a": (REFUSED, "n/a ({})"),
    "accent": (NOT_ASCII, "josé{}@example.com"),
    "Cyrillic a": (NOT_ASCII, "\u0430nna{}@example.com"),
    "sign for kelvin": (NOT_ASCII, "\u212aate{}@example.com"),
    "no-break space inside": (NOT_ASCII, "p\u00a0{}@example.com"),
    "no @ and beyond ASCII": (NOT_ASCII, "jürgen{}"),
    "domain with a hyphen first": (BAD_DOMAIN, "p{}@-müller.example"),
    "domain with an empty label": (BAD_DOMAIN, "p{}@mü..example"),
    "domain of a picture": (BAD_DOMAIN, "p{}@\U0001f48c.example"),
    "no-break space in the domain": (BAD_DOMAIN, "p{}@exa\u00a0mple.com"),
}
"""What can't be sent, and the reason of every attempt. Brevo gives `REFUSED`; for the others there is no request."""

SAYS: Mapping[str, tuple[str, str]] = {
    NO_ADDRESS: ("Contact has no email address", "Fill in its e-mail address"),
    REFUSED: ("Invalid email address", "Correct its e-mail address"),
    NOT_ASCII: ("beyond ASCII", "Correct its e-mail address"),
    BAD_DOMAIN: ("has no valid ASCII form", "Correct its e-mail address"),
}
"""What must be said of such a contact, and what its owner is to do."""
