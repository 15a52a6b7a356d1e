"""What a contender's process is told, and what it tells: one JSON document in, one out."""

import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Task:
    """Deliver these contacts. Brevo's `api_url` ends in /v3; the sensor's own batch is 500."""

    contacts: int
    api_url: str
    database_url: str = ""
    in_the_air: int = 1
    requests_per_second: float = 100_000
    batch_size: int = 500
    destination: str = "brevo"
    api_key: str = "xkeysib-simulator"


@dataclass(frozen=True)
class Measured:
    """What it took, from the first step of the work to the last: imports count for the memory alone."""

    seconds: float
    cpu_seconds: float
    peak_mib: float
    delivered: int


def compete(deliver: Callable[[Task], int]) -> None:
    """Do the task in argv with `deliver`, which returns how many contacts it delivered; print what it took."""
    task = Task(**json.loads(sys.argv[1]))
    cpu, started = time.process_time(), time.monotonic()
    delivered = deliver(task)
    measured = Measured(time.monotonic() - started, time.process_time() - cpu, peak_mib(), delivered)
    sys.stdout.write(f"{json.dumps(asdict(measured))}\n")


def peak_mib() -> float:
    """The most memory that this process ever held, in MiB.

    Linux keeps the parent's peak in `ru_maxrss` when a process is made, so /proc is asked first.
    """
    status = Path("/proc/self/status")
    if status.exists():
        (peak,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        return int(peak.split()[1]) / 1024
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
