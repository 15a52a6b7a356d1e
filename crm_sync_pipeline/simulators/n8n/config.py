"""How the webhook of the n8n simulator is set up, and how its workflow behaves."""

from dataclasses import dataclass

from crm_sync_pipeline.simulators.simulator import REQUEST_LOG_SIZE

PATH = "crm-sync"
DEFAULT_SECRET = "n8n-simulator"  # noqa: S105  # of a simulator
USER = "crm-sync"

MODES = ("shipped", "respond", "no-respond", "last-node", "on-received", "no-data")
AUTHS = ("header", "basic", "jwt", "none")


@dataclass(frozen=True)
class N8nConfig:
    """One Webhook node and its workflow.

    path, method               where the webhook is: /webhook/{path}
    mode                       what it answers: "shipped" what the workflow in docs/destinations/n8n does; "respond" the
                               same by a Respond to Webhook node; "no-respond" as where there is no such node;
                               "last-node" the data of the last node; "on-received" at once, whatever becomes of the
                               workflow; "no-data" without a body
    auth, secret               header: "Authorization: Bearer {secret}"; basic: crm-sync and the secret; jwt: HS256 with
                               the secret; none
    workflow_id                what the workflow names in its answers
    most_bytes                 N8N_PAYLOAD_SIZE_MAX
    shows_stack                errors have a "stacktrace", as they do unless NODE_ENV=production
    refusing_seconds           how long a restart takes to listen again,
    starting_seconds           then to have its database ready,
    without_routes_seconds     then to listen to webhooks,
    unregistered_seconds       then to have those of its workflows
    request_log_size           how many requests are remembered
    seed                       of the faults that strike at random

    ValueError for a mode or an auth that there is not.
    """

    path: str = PATH
    method: str = "POST"
    mode: str = "shipped"
    auth: str = "header"
    secret: str = DEFAULT_SECRET
    workflow_id: str = "CrmSyncContact01"
    most_bytes: int = 16 * 1024 * 1024
    shows_stack: bool = True
    refusing_seconds: float = 11.6
    starting_seconds: float = 0.05
    without_routes_seconds: float = 6.3
    unregistered_seconds: float = 2
    request_log_size: int = REQUEST_LOG_SIZE
    seed: int = 0

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"A webhook answers by {', '.join(MODES)}, not {self.mode!r}.")
        if self.auth not in AUTHS:
            raise ValueError(f"A webhook's auth is {', '.join(AUTHS)}, not {self.auth!r}.")
