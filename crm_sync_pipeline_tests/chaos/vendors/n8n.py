"""n8n in a trial. It holds no contacts: what it is to have is an event for each, once for each Idempotency-Key."""

from collections.abc import Mapping
from typing import Any

from crm_sync_pipeline.destinations.n8n import N8N as ENTRY
from crm_sync_pipeline.destinations.n8n.destination import N8n
from crm_sync_pipeline.simulators.exchange import Answer, Request
from crm_sync_pipeline.simulators.n8n import N8nConfig, N8nSimulator
from crm_sync_pipeline_tests.chaos.vendor import Vendor
from crm_sync_pipeline_tests.chaos.watched import Watched, call_of

SECRET = "4f1d0secret0never0to0be0seen"
PATH = "4f1d0path0never0to0be0seen"


class WatchedN8n(Watched, N8nSimulator):
    """n8n, as Watched: each execution was carried out, and some of them found that they were duplicates."""

    def handle(self, request: Request) -> Answer:
        """See Simulator."""
        done_before = len(self.executions)
        answer = super().handle(request)
        for execution in self.executions[done_before:]:
            if not execution.has_failed:
                data = {name: value for name, value in execution.body.items() if name != "timestamp"}
                email = str(data["email"] or "")
                self._note(call_of(request), email, data, is_duplicate=execution.is_duplicate)
        return answer

    def ids(self) -> Mapping[str, str]:
        """See Watched: a delivery names the workflow."""
        return {str(data["email"]): self.config.workflow_id for data in self.contacts.values()}


def simulate(seed: int) -> WatchedN8n:
    """Make the simulator of a trial."""
    return WatchedN8n(N8nConfig(path=PATH, secret=SECRET, seed=seed))


def connect(server: str, *, timeout_seconds: float, requests_per_second: float, imports: bool = False) -> N8n:
    """Make the destination of a worker."""
    _ = imports
    return N8n(
        webhook_url=f"{server}/webhook/{PATH}",
        webhook_secret=SECRET,
        timeout_seconds=timeout_seconds,
        requests_per_second=requests_per_second,
        concurrency=4,
    )


def settings(server: str) -> Mapping[str, str]:
    """Name the variables that lead to it."""
    return {"N8N_WEBHOOK_URL": f"{server}/webhook/{PATH}", "N8N_WEBHOOK_SECRET": SECRET}


def without_idempotency_keys() -> None:
    """Nothing tells a request that is sent again from a new one."""

    def no_headers(self: N8n, records: Any) -> Mapping[str, str]:
        _ = self, records
        return {}

    setattr(N8n, "headers_of_request", no_headers)  # noqa: B010 # mypy takes a plain assignment for a mistake


N8N = Vendor(
    ENTRY,
    simulate=simulate,
    connect=connect,
    settings=settings,
    secret=SECRET,
    hopeless={"   ": "Max retries exceeded (3). Last error: Contact has no email address"},
    drops_duplicates=True,
    names_each_id=False,
    knows_opt_outs=False,
    ablations={"keys": without_idempotency_keys},
)
