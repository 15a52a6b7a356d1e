"""Another program on the same Brevo account: upserts contacts of its own at half of the limit, until it is killed.

After a 429 it waits as long as it is told, and goes on at its own pace: it never catches up.
"""

import time
from itertools import count

import httpx

from benchmarks.contender import Task, compete

PREFIX = "neighbour."


def run(task: Task) -> int:
    """Send until somebody ends this process."""
    with httpx.Client(headers={"api-key": task.api_key}, trust_env=False, timeout=30) as client:
        due = time.monotonic()
        for number in count():
            body = {"email": f"{PREFIX}{number:06d}@example.com", "attributes": {}, "updateEnabled": True}
            answer = client.post(f"{task.api_url}/contacts", json=body)
            now = time.monotonic()
            wait = float(answer.headers["x-sib-ratelimit-reset"]) if answer.status_code == 429 else 0.0
            due = max(due + 1 / task.requests_per_second, now + wait)
            time.sleep(max(0.0, due - now))
    return 0


if __name__ == "__main__":
    compete(run)
