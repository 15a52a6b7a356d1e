"""What Dagster keeps of its runs, in files and tables: it may hold no key and no address, and shows what went wrong."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from crm_sync_pipeline_tests.builders import World

ADDRESS = re.compile(rb"[\w.+-]+@(?:[\w-]+\.)+[a-z]{2,}")
UNFORESEEN = re.compile(r"Unexpected \w+|deadlock detected")
_FAILURES = "SELECT event FROM event_logs WHERE dagster_event_type = 'STEP_FAILURE'"
_FAILURE = "dagster._core.definitions.events.Failure: "
_SHOWN = 160


def secrets_in(places: Mapping[str, bytes], key: str) -> Iterator[str]:
    """One sentence for each place with the key or an e-mail address in it."""
    for place, content in places.items():
        if key.encode() in content:
            yield f"the key is in {place}"
        if found := ADDRESS.search(content):
            yield f"an e-mail address is in {place}: {found[0].decode()}"


def everything_kept(home: Path, instance: World) -> dict[str, bytes]:
    """The content of every file below Dagster's home and of every table of its database, by what it is called."""
    kept = {str(path.relative_to(home)): path.read_bytes() for path in home.rglob("*") if path.is_file()}
    for table in instance.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"):
        rows = instance.rows(f'SELECT t::text AS row FROM "{table["tablename"]}" t')  # a name from the catalogue
        kept[f"table {table['tablename']}"] = "\n".join(row["row"] for row in rows).encode()
    return kept


def failures_in(instance: World) -> Counter[str]:
    """What the failed steps of all runs said, and how often."""
    found: Counter[str] = Counter()
    for row in instance.rows(_FAILURES):
        told = json.loads(row["event"])["dagster_event"]["event_specific_data"] or {}
        message: str = (told.get("error") or {}).get("message", "nothing")
        found[message.removeprefix(_FAILURE).partition("\n")[0][:_SHOWN]] += 1
    return found


def unforeseen_in(failures: Counter[str]) -> Iterator[str]:
    """One sentence for each failure that is none of those that we know and name."""
    for said, times in failures.items():
        if UNFORESEEN.search(said):
            yield f"{times} steps failed with: {said}"
