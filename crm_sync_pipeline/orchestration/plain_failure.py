"""How an op fails: in one line that a person can act on."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from crm_sync_pipeline.domain.errors import CrmSyncError
from crm_sync_pipeline.domain.masking import redacted


@contextmanager
def plain_failure() -> Iterator[None]:
    """Turn an error into a failed run that says it in one line; one that a person can fix is said as it is.

    An error of any other kind is cut to its first line and the place where it arose: PostgreSQL's, for one, goes on to
    quote the whole row, and Dagster would keep that for ever.
    """
    try:
        yield
    except CrmSyncError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    except Exception as error:
        said = redacted(str(error).partition("\n")[0]) or "no explanation"
        raise dg.Failure(
            f"Unexpected {type(error).__name__}: {said}", metadata={"where": _where(error)}, allow_retries=False
        ) from None


def _where(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return " > ".join(
        f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames if "crm_sync_p" in frame.filename
    )
