from collections.abc import Iterable, Mapping
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_sync_pipeline.domain.batch import Attempt
from crm_sync_pipeline.domain.blame import REFUSALS_UNTIL_OPEN, Blame, Earlier
from crm_sync_pipeline.domain.health import FAILURES_UNTIL_OPEN
from crm_sync_pipeline.domain.outcome import Deferred, DestinationDown, Failed, Outcome, Rejected, Synced

SYNCED = Synced()
BAD_ADDRESS = Rejected("invalid_email", "Invalid email address.")
QUOTA = Rejected("quota", "Quota exceeded.", may_be_ours=True)
ATTRIBUTE = Rejected("quota", "Unknown attribute.", may_be_ours=True)
FIREWALL = DestinationDown("http_403", "Forbidden. Look at your account.", answer="Forbidden")
CREDIT = DestinationDown("http_402", "No credit. Look at your account.", answer="No credit")
KEY = DestinationDown("wrong_api_key", "Set a key.")
BROKEN = Failed("http_503", "m")


def attempt(number: int, outcome: Outcome) -> Attempt:
    return Attempt(UUID(int=number), outcome, "")


def numbered(attempts: Iterable[Attempt]) -> dict[int, Outcome]:
    return {each.contact_id.int: each.outcome for each in attempts}


class Run:
    """A run over contacts 1, 2, 3 ... that asks the journal as `Verdicts` does; `noted` is what is journaled."""

    def __init__(self, down_for: str | None = None, earlier: Mapping[int, Earlier] | None = None) -> None:
        self.blame = Blame(down_for)
        self.earlier = {UUID(int=number): each for number, each in (earlier or {}).items()}
        self.noted: dict[int, Outcome] = {}

    def take(self, number: int, outcome: Outcome) -> None:
        self.noted |= numbered(self.blame.take(attempt(number, outcome)))
        while self.blame.is_full:
            self.noted |= numbered(self.blame.decide(self.earlier))

    def end(self, again: Outcome = SYNCED) -> None:
        while (contact_id := self.blame.next_again()) is not None:
            self.take(contact_id.int, again)
        self.noted |= numbered(self.blame.end(self.earlier))


def run_of(*outcomes: Outcome, down_for: str | None = None, earlier: Mapping[int, Earlier] | None = None) -> Run:
    run = Run(down_for, earlier)
    for number, outcome in enumerate(outcomes, start=1):
        run.take(number, outcome)
    return run


@pytest.mark.parametrize("outcome", [SYNCED, BAD_ADDRESS, BROKEN, KEY])
def test_what_is_not_doubtful_is_passed_on_at_once(outcome: Outcome) -> None:
    assert run_of(outcome).noted == {1: outcome}


@pytest.mark.parametrize("outcome", [QUOTA, FIREWALL])
def test_what_is_doubtful_is_held_back(outcome: Outcome) -> None:
    assert run_of(outcome).noted == {}


# Refusals that may be about the account


@pytest.mark.parametrize("through", [SYNCED, BAD_ADDRESS])
def test_refusals_are_the_contacts_own_when_another_gets_through(through: Outcome) -> None:
    run = run_of(*[QUOTA] * 9, through)
    assert run.noted == {**dict.fromkeys(range(1, 10), QUOTA), 10: through}
    assert run.blame.opened_by is None


def test_ten_in_a_row_with_the_same_words_open_the_breaker_and_nobody_pays() -> None:
    run = run_of(*[SYNCED] * 20, *[QUOTA] * 10)
    opened_by = run.blame.opened_by
    assert opened_by is not None
    assert opened_by.reason == "quota"
    assert opened_by.message.startswith("Quota exceeded. 10 contacts in a row were refused with these words")
    assert [type(run.noted[number]) for number in range(21, 31)] == [Deferred] * 10
    assert run.noted[21].message.startswith("Quota exceeded. 10 contacts")


def test_nine_do_not() -> None:
    run = run_of(*[QUOTA] * 9)
    run.end()
    assert run.noted == dict.fromkeys(range(1, 10), QUOTA)
    assert run.blame.opened_by is None


def test_those_that_were_in_flight_when_it_opened_pay_nothing_either() -> None:
    run = run_of(*[QUOTA] * 10, QUOTA, ATTRIBUTE, FIREWALL, SYNCED)
    assert isinstance(run.noted[11], Deferred)
    assert [run.noted[number] for number in (12, 13, 14)] == [ATTRIBUTE, FIREWALL, SYNCED]


def test_ten_bad_addresses_in_a_row_never_open_it() -> None:
    run = run_of(*[BAD_ADDRESS] * 30)
    run.end()
    assert run.noted == dict.fromkeys(range(1, 31), BAD_ADDRESS)
    assert run.blame.opened_by is None


def test_other_words_are_something_else_even_with_the_same_reason() -> None:
    run = run_of(*[QUOTA] * 9, ATTRIBUTE, *[QUOTA] * 9)
    assert run.blame.opened_by is None
    run.end()
    assert run.noted == {**dict.fromkeys(range(1, 20), QUOTA), 10: ATTRIBUTE}


@pytest.mark.parametrize(
    "words",
    [
        'Value "{}" of PLAN is not allowed.',
        "Value '{}' of PLAN is not allowed.",
        "Value `{}` of PLAN is not allowed.",
        "{} of 300 contacts are left.",
        "Request 7f{}a was refused.",
    ],
)
def test_what_differs_from_contact_to_contact_does_not_make_other_words(words: str) -> None:
    run = run_of(*(Rejected("quota", words.format(number), may_be_ours=True) for number in range(10)))
    assert run.blame.opened_by is not None
    assert run.noted[3].message.startswith(words.format(2))


def test_what_was_quoted_of_one_contact_is_not_shown_of_the_destination() -> None:
    words = 'The attribute "PLAN" can\'t be "{}".'
    run = run_of(*(Rejected("quota", words.format(name), may_be_ours=True) for name in "abcdefghij"))
    assert run.blame.opened_by is not None
    assert run.blame.opened_by.message.startswith('The attribute "…" can\'t be "…". 10 contacts')
    same = run_of(*[Rejected("quota", words.format("x"), may_be_ours=True)] * 10)
    assert same.blame.opened_by is not None
    assert 'The attribute "PLAN"' in same.blame.opened_by.message


@pytest.mark.parametrize("between", [BROKEN, FIREWALL])
def test_what_says_nothing_of_the_account_does_not_interrupt_them(between: Outcome) -> None:
    assert run_of(*[QUOTA] * 5, between, *[QUOTA] * 5).blame.opened_by is not None


# Set-up statuses that may be one contact's


@pytest.mark.parametrize("through", [SYNCED, BAD_ADDRESS])
def test_a_set_up_status_is_tried_again_at_the_end_when_another_gets_through(through: Outcome) -> None:
    run = run_of(FIREWALL, through)
    assert run.noted == {2: through}
    run.end(again=SYNCED)
    assert run.noted[1] == SYNCED
    assert run.blame.opened_by is None


def test_after_the_second_time_the_contact_is_rejected_with_that_answer() -> None:
    run = run_of(FIREWALL, SYNCED, CREDIT, SYNCED)
    run.end(again=FIREWALL)
    assert run.blame.opened_by is None
    for number in (1, 3):
        outcome = run.noted[number]
        assert isinstance(outcome, Rejected)
        assert outcome.reason == "http_403"
        assert outcome.message.startswith("Forbidden. Other contacts got through")
        assert "account" not in outcome.message
        assert "firewall" in outcome.message


def test_five_in_a_row_open_the_breaker_and_are_given_back() -> None:
    run = run_of(SYNCED, *[FIREWALL, CREDIT] * 2, FIREWALL)
    assert run.blame.opened_by is FIREWALL
    assert run.noted == {1: SYNCED, 2: FIREWALL, 3: CREDIT, 4: FIREWALL, 5: CREDIT, 6: FIREWALL}


def test_one_after_which_nobody_got_through_opens_it_at_the_end() -> None:
    run = run_of(SYNCED, FIREWALL)
    assert run.blame.opened_by is None
    run.end()
    assert run.blame.opened_by is FIREWALL
    assert run.noted[2] is FIREWALL


def test_a_second_time_proves_nothing_while_others_are_under_suspicion() -> None:
    run = run_of(FIREWALL, SYNCED, FIREWALL)
    run.end(again=FIREWALL)
    assert run.blame.opened_by is FIREWALL
    assert run.noted == {1: FIREWALL, 2: SYNCED, 3: FIREWALL}


def test_a_second_try_that_gets_through_clears_those_under_suspicion() -> None:
    run = run_of(FIREWALL, SYNCED, CREDIT)
    run.end(again=SYNCED)
    assert run.noted == dict.fromkeys((1, 2, 3), SYNCED)


def test_a_second_try_that_fails_otherwise_is_noted_as_that() -> None:
    run = run_of(FIREWALL, SYNCED)
    run.end(again=BROKEN)
    assert run.noted[1] == BROKEN


def test_nothing_is_tried_again_once_the_breaker_is_open() -> None:
    run = run_of(FIREWALL, SYNCED, *[CREDIT] * 5)
    assert run.blame.next_again() is None


# What the journal knows

LOW_VOLUME = [
    (Earlier("http_403", was_rejected=False, others_since=True), True),
    (Earlier("http_403", was_rejected=True, others_since=True), True),
    (Earlier("http_403", was_rejected=True, others_since=False), True),
    (Earlier("http_403", was_rejected=False, others_since=False), False),
    (Earlier("http_402", was_rejected=False, others_since=True), False),
    (None, False),
]


@pytest.mark.parametrize(("before", "is_its_own"), LOW_VOLUME)
@pytest.mark.parametrize("down_for", [None, "http_403", "http_503"])
def test_alone_in_its_run_its_history_decides(before: Earlier | None, is_its_own: bool, down_for: str | None) -> None:
    run = run_of(FIREWALL, down_for=down_for, earlier={1: before} if before else {})
    run.end()
    assert isinstance(run.noted[1], Rejected) is is_its_own
    assert (run.blame.opened_by is None) is is_its_own
    assert not run.blame.has_answered, "nor does it say that the destination is well"


def test_at_the_end_only_those_whose_first_time_it_is_open_the_breaker() -> None:
    known = Earlier("http_403", was_rejected=False, others_since=True)
    run = run_of(FIREWALL, CREDIT, earlier={1: known})
    run.end()
    assert isinstance(run.noted[1], Rejected)
    assert run.blame.opened_by is CREDIT


@pytest.mark.parametrize(("outcome", "count"), [(FIREWALL, FAILURES_UNTIL_OPEN), (QUOTA, REFUSALS_UNTIL_OPEN)])
def test_the_same_ones_do_not_stop_the_queue_a_second_time(outcome: Outcome, count: int) -> None:
    known = Earlier(outcome.reason, was_rejected=False, others_since=True)
    run = run_of(*[outcome] * count, SYNCED, earlier=dict.fromkeys(range(1, count + 1), known))
    assert run.blame.opened_by is None
    assert all(isinstance(run.noted[number], Rejected) for number in range(1, count + 1))


@pytest.mark.parametrize(("outcome", "count"), [(FIREWALL, FAILURES_UNTIL_OPEN), (QUOTA, REFUSALS_UNTIL_OPEN)])
def test_one_that_is_new_among_them_does(outcome: Outcome, count: int) -> None:
    known = Earlier(outcome.reason, was_rejected=False, others_since=True)
    run = run_of(*[outcome] * count, earlier=dict.fromkeys(range(1, count), known))
    assert run.blame.opened_by is not None
    assert all(isinstance(each, Deferred) for each in run.noted.values())


# Probes


def test_a_probe_that_is_refused_alike_keeps_it_open_and_does_not_pay() -> None:
    run = run_of(QUOTA, down_for="quota")
    assert run.blame.opened_by is not None
    assert run.blame.opened_by.message.startswith("Quota exceeded. The contact that was sent to find out was refused")
    assert isinstance(run.noted[1], Deferred)


@pytest.mark.parametrize("outcome", [SYNCED, BAD_ADDRESS, QUOTA])
def test_any_other_answer_is_one(outcome: Outcome) -> None:
    run = run_of(outcome, down_for="http_403")
    run.end()
    assert run.noted == {1: outcome}
    assert run.blame.has_answered


def test_a_set_up_status_keeps_it_open_at_once() -> None:
    assert run_of(FIREWALL, down_for="quota").blame.opened_by is FIREWALL


# Whatever comes

ANY = st.sampled_from([SYNCED, BAD_ADDRESS, QUOTA, ATTRIBUTE, FIREWALL, CREDIT, BROKEN])


@given(st.lists(ANY, max_size=40), ANY, st.sampled_from([None, "quota", "http_403"]))
def test_each_attempt_is_passed_on_once_unless_the_breaker_opened(
    outcomes: list[Outcome], again: Outcome, down_for: str | None
) -> None:
    run = run_of(*outcomes, down_for=down_for)
    run.end(again)
    if run.blame.opened_by is None:
        assert run.noted.keys() == set(range(1, len(outcomes) + 1))
    for number, outcome in run.noted.items():
        if outcome in (SYNCED, BAD_ADDRESS):
            assert outcomes[number - 1] in (outcome, FIREWALL, CREDIT)


@given(st.lists(ANY, max_size=40))
def test_whoever_is_blamed_for_a_set_up_status_had_it_twice_while_another_got_through(outcomes: list[Outcome]) -> None:
    run = run_of(*outcomes)
    run.end(again=FIREWALL)
    blamed = [n for n, each in run.noted.items() if isinstance(each, Rejected) and each.reason.startswith("http")]
    for number in blamed:
        assert any(each in (SYNCED, BAD_ADDRESS) for each in outcomes[number:])


@given(st.integers(1, 60), st.sampled_from([QUOTA, FIREWALL]))
def test_where_everybody_is_refused_alike_nobody_pays_beyond_the_first_nine(count: int, outcome: Outcome) -> None:
    run = run_of(*[outcome] * count)
    run.end()
    paid = [each for each in run.noted.values() if isinstance(each, Rejected)]
    assert len(paid) == (count if outcome is QUOTA and count < REFUSALS_UNTIL_OPEN else 0)
