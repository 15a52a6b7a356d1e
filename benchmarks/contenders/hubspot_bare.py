"""The limit: aiohttp with the same batches, no database, nothing written down; each again after a 429."""

import asyncio

import aiohttp

from benchmarks.contender import Task, compete
from benchmarks.contenders.hubspot_bodies import AFTER_429_SECONDS, batches


async def _send_all(task: Task) -> int:
    waiting = batches(task.contacts)
    delivered = 0
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=task.in_the_air), headers={"Authorization": f"Bearer {task.api_key}"}
    ) as session:

        async def send() -> None:
            nonlocal delivered
            for rows in waiting:
                while True:
                    url = f"{task.api_url}/crm/v3/objects/contacts/batch/upsert"
                    async with session.post(url, json={"inputs": rows}) as answer:
                        said = await answer.json()
                    if answer.status != 429:
                        break
                    await asyncio.sleep(AFTER_429_SECONDS)
                delivered += len(said["results"]) if answer.status == 200 else 0

        await asyncio.gather(*(send() for _ in range(task.in_the_air)))
    return delivered


def run(task: Task) -> int:
    """Send every batch; returns how many contacts the answers name."""
    return asyncio.run(_send_all(task))


if __name__ == "__main__":
    compete(run)
