"""The product: claim, deliver, journal, settle by its own functions, as the three ops of a run do; without Dagster."""

from benchmarks.contender import Task, compete
from crm_sync_pipeline.contact_queue.database.transactions import PATIENCE, PATIENCE_FOR_RESULTS
from crm_sync_pipeline.contact_queue.source import Database
from crm_sync_pipeline.delivery.door import deliver_batch
from crm_sync_pipeline.destinations import CRMS, DESTINATIONS
from crm_sync_pipeline.domain.transition import Ending


def run(task: Task) -> int:
    """Deliver all that is due; returns how many are Complete."""
    database = Database(url=task.database_url, crms=CRMS)
    connect = DESTINATIONS[task.destination].destination()
    fields = {"base_url": task.api_url, "api_key": task.api_key, "concurrency": task.in_the_air}
    crm = connect(**fields).model_copy(update={"requests_per_second": task.requests_per_second})  # beyond a setting's
    queue, patient = database.queue(crm.name, PATIENCE), database.queue(crm.name, PATIENCE_FOR_RESULTS)
    complete = 0
    while True:
        batch = queue.claim(task.batch_size, run_id="benchmark")
        if not batch.size:
            return complete
        deliver_batch(patient, crm, batch, "benchmark")
        settled = patient.settle(batch.token)
        complete += settled.endings[Ending.COMPLETE]


if __name__ == "__main__":
    compete(run)
