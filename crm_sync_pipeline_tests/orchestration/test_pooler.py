"""Whole runs behind PgBouncer in transaction mode, while the user's application is busy on the same pooler."""

import os
from dataclasses import replace

from crm_sync_pipeline.contact_queue.database.engine import engine_for
from crm_sync_pipeline_tests.pgbouncer import Neighbour, pgbouncer
from crm_sync_pipeline_tests.product import Product

RUNS = int(os.environ.get("POOLER_RUNS", "6"))
"""The environment may ask for more."""


def test_each_run_is_green_each_contact_is_attempted_once_and_nobody_meets_our_settings(product: Product) -> None:
    with pgbouncer(product.world.url, "transaction", pool_size=5) as bouncer:
        through = replace(product.world, url=bouncer.url)
        product.set(DATABASE_URL=bouncer.url)
        for _ in range(2):
            assert through.upgrade() == [], "there is nothing to do, twice in a row"
        with Neighbour(bouncer) as neighbour:
            for number in range(RUNS):
                through.add(*(f"p{number}-{each}@example.com" for each in range(20)))
                assert product.run_requested(product.tick("brevo_queue_sensor")).success
        neighbour.require_undisturbed()
        engine_for(bouncer.url).dispose()
    attempts = "SELECT count(*) AS attempts FROM crm_sync.attempts GROUP BY contact_id"
    assert [row["attempts"] for row in product.world.rows(attempts)] == [1] * (20 * RUNS)
    assert product.simulator.requests.total == 20 * RUNS
