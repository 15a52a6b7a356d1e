"""HubSpot's own Python client in a loop, without a database: batch after batch, each again after a 429."""

import time

from hubspot import HubSpot
from hubspot.crm.contacts import ApiException, BatchInputSimplePublicObjectBatchInputUpsert

from benchmarks.contender import Task, compete
from benchmarks.contenders.hubspot_bodies import AFTER_429_SECONDS, batches


def run(task: Task) -> int:
    """Send every batch; returns how many contacts the answers name."""
    api = HubSpot(access_token=task.api_key, host=task.api_url, retry=False).crm.contacts.batch_api
    delivered = 0
    for rows in batches(task.contacts):
        body = BatchInputSimplePublicObjectBatchInputUpsert(inputs=rows)
        while True:
            try:
                delivered += len(api.upsert(body).results)
                break
            except ApiException as refused:
                if refused.status != 429:
                    raise
                time.sleep(AFTER_429_SECONDS)
    return delivered


if __name__ == "__main__":
    compete(run)
