"""What Mautic refuses of our set-up, and what a person must do about it."""

from crm_sync_pipeline.destinations.contract import Answer
from crm_sync_pipeline.destinations.mautic.answers import API_OFF, BASIC_OFF, kind_of
from crm_sync_pipeline.destinations.statuses import OUR_SETUP, PROXY_WANTS_LOGIN, REDIRECTS
from crm_sync_pipeline.domain.outcome import DestinationDown, Failed
from crm_sync_pipeline.domain.sentences import sentences

RIGHTS = "Give the role of our user in Mautic the rights to view, create and edit contacts, its own and those of others"
WRONG_CLIENT = "wrong_client"
_CLIENT = (
    "Check MAUTIC_CLIENT_ID and MAUTIC_CLIENT_SECRET: in Mautic, Settings > API Credentials, a client for OAuth 2 with "
    "Client Credentials"
)


def of_switches(answer: Answer, said: str, *, uses_basic: bool) -> DestinationDown | None:
    """An API, or basic auth, that is off: both are in every new Mautic. None where that is not what it says."""
    kind = kind_of(answer.data, uses_basic=uses_basic) if answer.status == 403 else ""
    if kind == API_OFF:
        to_do = "In Mautic, set Configuration > API Settings > API enabled to Yes, and clear its cache"
        return DestinationDown(API_OFF, sentences(said, to_do))
    if kind == BASIC_OFF:
        to_do = "In Mautic, set Configuration > API Settings > Enable HTTP basic auth to Yes, or use an OAuth2 client"
        return DestinationDown(BASIC_OFF, sentences(said, to_do))
    return None


def of_token(answer: Answer, said: str, base_url: str) -> DestinationDown | Failed:
    """A token that was not given."""
    if answer.status in (400, 401):
        return DestinationDown(WRONG_CLIENT, sentences(said, _CLIENT))
    if off := of_switches(answer, said, uses_basic=False):
        return off
    if answer.status in OUR_SETUP:
        return DestinationDown(f"http_{answer.status}", sentences(said, _status_words(answer.status, base_url)))
    if 200 <= answer.status < 300:
        return Failed("unexpected_answer", f"What answers at {base_url} gave no token as Mautic does")
    return Failed(f"http_{answer.status}", said)


def of_status(answer: Answer, said: str, base_url: str, *, uses_basic: bool) -> DestinationDown:
    """A status that no contact is to blame for."""
    if answer.status == 401 and uses_basic:
        return DestinationDown(
            "wrong_password", sentences(said, "Mautic refused MAUTIC_USERNAME and MAUTIC_PASSWORD; set a valid login")
        )
    if answer.status == 401:
        return DestinationDown(WRONG_CLIENT, sentences(said, "Mautic refused a token that it had just given", _CLIENT))
    if answer.status == 403:
        return DestinationDown("http_403", sentences(said, RIGHTS))
    return DestinationDown(f"http_{answer.status}", sentences(said, _status_words(answer.status, base_url)))


def of_segment(status: int, said: str, segment_id: int | None) -> DestinationDown:
    """A segment that contacts can't join."""
    if status == 404:
        return DestinationDown(
            "unknown_segment", sentences(said, f"Mautic has no segment {segment_id}. Check MAUTIC_SEGMENT_ID")
        )
    to_do = f"Publish segment {segment_id} in Mautic, and give the role of our user the right to view segments"
    return DestinationDown("closed_segment", sentences(said, to_do))


def _status_words(status: int, base_url: str) -> str:
    check_url = f"Check MAUTIC_BASE_URL; it is {base_url} now"
    if status in REDIRECTS:
        return f"Contacts are sent to no other address than the one that is set. {check_url}"
    if status == PROXY_WANTS_LOGIN:
        return (
            "A proxy between this machine and Mautic wants a user and a password: check HTTPS_PROXY, HTTP_PROXY and "
            "ALL_PROXY (http://USER:PASSWORD@HOST:PORT), or name Mautic's host in NO_PROXY"
        )
    if status in (404, 405):
        return check_url
    return "Look at your Mautic, and at who hosts it"
