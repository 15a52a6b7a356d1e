"""Brevo's own Python client, without a database: in a loop, or by as many threads as may be in flight."""

from concurrent.futures import ThreadPoolExecutor

import httpx
from brevo import Brevo
from brevo.core.api_error import ApiError

from benchmarks.contender import Task, compete
from benchmarks.people import Person, people


def run(task: Task) -> int:
    """Send every contact with one client; returns how many it did not raise for."""
    with httpx.Client(timeout=60, follow_redirects=True) as connections:  # its own defaults
        client = Brevo(api_key=task.api_key, base_url=task.api_url, httpx_client=connections)

        def send(person: Person) -> bool:
            try:
                client.contacts.create_contact(email=person.email, attributes=person.attributes, update_enabled=True)
            except ApiError:
                return False
            return True

        if task.in_the_air == 1:
            return sum(map(send, people(task.contacts)))
        with ThreadPoolExecutor(task.in_the_air) as threads:
            return sum(threads.map(send, people(task.contacts)))


if __name__ == "__main__":
    compete(run)
