"""Rows of a contacts table as the field fills it, each with what must become of it. The same seed makes the same rows.

What must become of a row is written down while it is made dirty, from the clean values it is made of. Nothing of the
product is asked.
"""

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

from crm_sync_pipeline_tests.dirty import addresses, names, phones
from crm_sync_pipeline_tests.dirty.phones import Number

T = TypeVar("T")


@dataclass(frozen=True)
class Expected:
    """How a row must end.

    state       its sync status
    reason      of its last attempt; "" where there is none
    address     in every request for it; None: there is no request
    attributes  in the first request for it, all of them
    left_out    what `explain` may say of its number, where it is not sent or taken back; empty: nothing
    may_lose    its number is another's too, so that a second request goes out without
    named       the invisible characters of its address that `explain` names
    """

    state: str
    reason: str = ""
    address: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    may_lose: bool = False
    named: str = ""


@dataclass(frozen=True)
class Row:
    """A row of the contacts table: what stands in it, which kind of dirt it has, and how it must end."""

    number: int
    kind: str
    id: UUID
    email: str | None
    name: str | None
    phone_number: str | None
    has_gmail: str | None
    status: str
    expected: Expected

    @property
    def source_url(self) -> str:
        """By it a request, or a contact at Brevo, is known to be this row's."""
        return f"https://example.com/dirty/{self.number}"


@dataclass(frozen=True)
class Stranger:
    """A contact that Brevo has before anything is sent."""

    address: str
    attributes: Mapping[str, str]
    is_blocklisted: bool = False


@dataclass(frozen=True)
class Dirty:
    """All rows of one seed, and who is at Brevo already."""

    rows: tuple[Row, ...]
    strangers: tuple[Stranger, ...]


# Of 100 rows; the rest is ordinary: delivered, with dirt in every column.
_IN_ERROR, _SHARED, _TWINS, _STRANGERS_NUMBER, _BLOCKLISTED, _NOT_SELECTED = 18, 8, 6, 3, 3, 4


def generate(seed: int, count: int) -> Dirty:
    """Make `count` rows or a few more, in an order of the dice."""
    return _Generator(seed).made(count)


def dealt(cards: Iterable[T], dice: random.Random) -> Iterator[T]:
    """Every card once in an order of the dice before any comes again, for ever."""
    deck = list(cards)
    while True:
        dice.shuffle(deck)
        yield from tuple(deck)


class _Generator:
    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._dice = dice = random.Random(seed)  # noqa: S311  # repeatable on purpose
        self._german = phones.german_numbers(dice)
        self._to_mistake = phones.numbers_to_mistake(dice)
        self._foreign = phones.foreign_numbers(dice)
        self._addresses = dealt(addresses.SENT, dice)
        self._twins = dealt([kind for kind, form in addresses.SENT.items() if form[1] == "p{}@example.com"], dice)
        self._errors = dealt(addresses.IN_ERROR, dice)
        self._names = dealt(names.NAMES, dice)
        self._gmail = dealt([None, *names.HAS_GMAIL], dice)
        self._phones = dealt([*phones.INTERNATIONAL, *phones.NATIONAL, *phones.UNREADABLE, *phones.NO_NUMBER], dice)
        self._statuses = dealt(["New", "Skipped"], dice)
        self._strangers: list[Stranger] = []
        self._count = 0

    def made(self, count: int) -> Dirty:
        makers = {
            self._in_error: _IN_ERROR,
            self._shared: _SHARED,
            self._twins_of_one_address: _TWINS,
            self._strangers_number: _STRANGERS_NUMBER,
            self._blocklisted: _BLOCKLISTED,
            self._not_selected: _NOT_SELECTED,
        }
        made: list[list[Row]] = []
        for maker, percent in makers.items():
            until = self._count + max(1, count * percent // 100)
            while self._count < until:
                made.append(maker())
        while self._count < count:
            made.append([self._ordinary()])
        self._dice.shuffle(made)  # groups stay together, in their order; the ids are in the order of making
        return Dirty(tuple(row for group in made for row in group), tuple(self._strangers))

    def _ordinary(self) -> Row:
        kind, text, number, left_out = self._phone()
        return self._row(next(self._addresses), phone=(kind, text), number=number, left_out=left_out)

    def _in_error(self) -> list[Row]:
        kind = next(self._errors)
        reason, template = addresses.IN_ERROR[kind]
        text = template.format(self._count) if template is not None else None
        sent = text.lower() if text and reason == addresses.REFUSED else None
        clean = next(self._german)
        return [
            self._row(
                kind, phone=("E.164", clean.sent), number=clean, email=text, state="Error", reason=reason, address=sent
            )
        ]

    def _shared(self) -> list[Row]:
        number = next(self._german)
        forms = [self._dice.choice([*phones.INTERNATIONAL]) for _ in range(self._dice.randint(2, 5))]
        return [
            self._row(
                next(self._addresses),
                phone=(f"shared, {form}", phones.INTERNATIONAL[form](number)),
                number=number,
                left_out=(phones.IN_USE,),
                may_lose=True,
            )
            for form in forms
        ]

    def _twins_of_one_address(self) -> list[Row]:
        of, size = self._count, self._dice.randint(2, 3)
        made = []
        for place in range(size):
            number = next(self._german)
            reason = "updated" if place else "created"
            phone = ("E.164", number.sent)
            kind = next(self._twins)
            made.append(self._row(kind, phone=phone, number=number, name="two words", reason=reason, of=of))
        return made

    def _strangers_number(self) -> list[Row]:
        number = next(self._german)
        self._strangers.append(
            Stranger(f"stranger{self._count}@example.net", {"SMS": number.digits, "FIRSTNAME": "Somebody"})
        )
        form = self._dice.choice([*phones.INTERNATIONAL])
        phone = (f"a stranger's, {form}", phones.INTERNATIONAL[form](number))
        left_out = (phones.IN_USE,)
        return [self._row(next(self._addresses), phone=phone, number=number, left_out=left_out, may_lose=True)]

    def _blocklisted(self) -> list[Row]:
        number, kind = next(self._german), next(self._addresses)
        phone = ("E.164", number.sent)
        row = self._row(kind, phone=phone, number=number, name="two words", reason="updated")
        assert row.expected.address is not None
        self._strangers.append(Stranger(row.expected.address, {"FIRSTNAME": "Old"}, is_blocklisted=True))
        return [row]

    def _not_selected(self) -> list[Row]:
        status, number = next(self._statuses), next(self._german)
        return [
            self._row(next(self._addresses), phone=("E.164", number.sent), number=number, status=status, state=status)
        ]

    def _phone(self) -> tuple[str, str | None, Number | None, tuple[str, ...]]:
        """Kind, text, the number that is sent, and what may be said where there is a text and none is sent."""
        kind = next(self._phones)
        if kind in phones.INTERNATIONAL:
            number = next(self._dice.choice((self._german, self._foreign)))
            return kind, phones.INTERNATIONAL[kind](number), number, ()
        if kind in phones.NATIONAL:
            number = next(self._to_mistake if kind.startswith("code without plus") else self._german)
            return kind, phones.NATIONAL[kind](number), number, ()
        if kind in phones.UNREADABLE:
            said, write = phones.UNREADABLE[kind]
            return kind, write(next(self._german), next(self._german)), None, said
        return kind, phones.NO_NUMBER[kind], None, ()

    def _row(
        self,
        address_kind: str,
        *,
        phone: tuple[str, str | None],
        number: Number | None,
        name: str | None = None,
        status: str = "Selected",
        state: str = "Complete",
        reason: str = "created",
        of: int | None = None,
        left_out: tuple[str, ...] = (),
        may_lose: bool = False,
        email: str | None = None,
        address: str | None = None,
    ) -> Row:
        """The next row. `of`: whose address it has, where not its own."""
        index = self._count
        self._count += 1
        is_sent = state != "Error"
        if is_sent:
            text, sent = (each.format(index if of is None else of) for each in addresses.SENT[address_kind])
            email, address = text, sent
        name_kind = name or next(self._names)
        full, first, last = names.NAMES[name_kind]
        gmail = next(self._gmail)
        row_id = UUID(int=(self._seed % 2**32) << 96 | 1 << 64 | index)
        attributes = {
            "FIRSTNAME": first,
            "LASTNAME": last,
            "SMS": number.sent if number else None,
            "HAS_GMAIL": names.HAS_GMAIL[gmail] if gmail is not None else None,
            "DOMAIN_ID": str(row_id),
            "PAGE_ID": str(row_id),
            "SOURCE_URL": f"https://example.com/dirty/{index}",
        }
        if status != "Selected":
            expected = Expected(state)
        else:
            carried = {name: value for name, value in attributes.items() if value is not None}
            named = addresses.NAMED.get(address_kind, "") if is_sent else ""
            expected = Expected(state, reason, address, carried, left_out, may_lose, named)
        kind = f"address: {address_kind}; phone: {phone[0]}; name: {name_kind}; has_gmail: {gmail!r}; {status}"
        return Row(index, kind, row_id, email, full, phone[1], gmail, status, expected)
