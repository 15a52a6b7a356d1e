"""Runs as people start, watch and end them: by GraphQL, as Dagster's UI does."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from crm_sync_pipeline_tests.chaos.dagster_services import LOCATION

_LAUNCH = """
mutation ($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
    ... on RunConfigValidationInvalid { errors { message } }
  }
}"""
_TERMINATE = "mutation ($id: String!) { terminateRun(runId: $id) { __typename ... on PythonError { message } } }"
_RUN = "query ($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
_RUNS = """
query ($statuses: [RunStatus!]) {
  runsOrError(filter: { statuses: $statuses }) { ... on Runs { results { runId status } } }
}"""
_NOTHING_KEPT: dict[str, Any] = {
    "timeout": 30,
    "trust_env": False,
    "limits": httpx.Limits(max_keepalive_connections=0),  # nobody closes the client
}
UNFINISHED = ("NOT_STARTED", "QUEUED", "STARTING", "STARTED", "CANCELING")
FINISHED = ("SUCCESS", "FAILURE", "CANCELED")


class RunsError(RuntimeError):
    """Dagster did not do what it was asked."""


@dataclass(frozen=True)
class Runs:
    """The runs of one destination's job, through one webserver."""

    graphql: str
    destination: str = "brevo"
    _client: httpx.Client = field(default_factory=lambda: httpx.Client(**_NOTHING_KEPT), repr=False)

    def launch(self, batch_size: int, **resources: dict[str, Any]) -> str:
        """What the launchpad does; `resources` changes their fields for this run. Returns the run's id."""
        config = {
            "ops": {"claim_batch": {"config": {"destination": self.destination, "batch_size": batch_size}}},
            "resources": {name: {"config": fields} for name, fields in resources.items()},
        }
        selector = {
            "repositoryLocationName": LOCATION,
            "repositoryName": "__repository__",
            "jobName": f"{self.destination}_sync",
        }
        answer = self._ask(_LAUNCH, params={"selector": selector, "runConfigData": config})["launchRun"]
        if answer["__typename"] != "LaunchRunSuccess":
            raise RunsError(f"the run was not launched: {answer}")
        run_id: str = answer["run"]["runId"]
        return run_id

    def terminate(self, run_id: str) -> None:
        """What the button Terminate does."""
        answer = self._ask(_TERMINATE, id=run_id)["terminateRun"]
        if answer["__typename"] != "TerminateRunSuccess":
            raise RunsError(f"the run was not terminated: {answer}")

    def status(self, run_id: str) -> str:
        """STARTED, SUCCESS, CANCELED and the like."""
        status: str = self._ask(_RUN, id=run_id)["runOrError"]["status"]
        return status

    def in_progress(self) -> dict[str, str]:
        """The status of every run that has not ended."""
        return self._statuses(UNFINISHED)

    def ended(self) -> dict[str, str]:
        """The status of every run that has."""
        return self._statuses(FINISHED)

    def _statuses(self, wanted: Sequence[str]) -> dict[str, str]:
        found = self._ask(_RUNS, statuses=wanted)["runsOrError"]["results"]
        return {run["runId"]: run["status"] for run in found}

    def _ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """RunsError, or httpx.HTTPError where nobody answers."""
        sent = {"query": query, "variables": variables}
        answer = self._client.post(self.graphql, json=sent).raise_for_status().json()
        if answer.get("errors"):
            raise RunsError(f"GraphQL: {answer['errors']}")
        data: dict[str, Any] = answer["data"]
        return data
