"""The product: claim, deliver, journal, settle by its own functions, as the three ops of a run do; without Dagster."""

from benchmarks.contender import Task, compete
from crm_sync_pipeline.contact_queue.database.transactions import PATIENCE, PATIENCE_FOR_RESULTS
from crm_sync_pipeline.contact_queue.source import Database
from crm_sync_pipeline.delivery.door import deliver_batch
from crm_sync_pipeline.destinations import CRMS
from crm_sync_pipeline.destinations.brevo.destination import Brevo
from crm_sync_pipeline.domain.transition import Ending


def run(task: Task) -> int:
    """Deliver all that is due; returns how many are Complete."""
    database = Database(url=task.database_url, crms=CRMS)
    brevo = Brevo(base_url=task.brevo_url, api_key=task.api_key, concurrency=task.in_the_air)
    brevo = brevo.model_copy(update={"requests_per_second": task.requests_per_second})  # beyond what a setting may be
    complete = 0
    while True:
        batch = database.queue("brevo", PATIENCE).claim(task.batch_size, run_id="benchmark")
        if not batch.size:
            return complete
        deliver_batch(database.queue("brevo", PATIENCE_FOR_RESULTS), brevo, batch, "benchmark")
        settled = database.queue("brevo", PATIENCE_FOR_RESULTS).settle(batch.token)
        complete += settled.endings[Ending.COMPLETE]


if __name__ == "__main__":
    compete(run)
