"""The limit: aiohttp, with this many requests in flight, no database, no retries, nothing written down."""

import asyncio

import aiohttp

from benchmarks.contender import Task, compete
from benchmarks.people import people


async def _send_all(task: Task) -> int:
    waiting = people(task.contacts)
    delivered = 0
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=task.in_the_air), headers={"api-key": task.api_key}
    ) as session:

        async def send() -> None:
            nonlocal delivered
            for person in waiting:
                body = {"email": person.email, "attributes": person.attributes, "updateEnabled": True}
                async with session.post(f"{task.api_url}/contacts", json=body) as answer:
                    await answer.read()
                    delivered += answer.status in (201, 204)

        await asyncio.gather(*(send() for _ in range(task.in_the_air)))
    return delivered


def run(task: Task) -> int:
    """Send every contact; returns how many Brevo took."""
    return asyncio.run(_send_all(task))


if __name__ == "__main__":
    compete(run)
