"""The parts of the Dagster level that can be tried without Dagster; the level itself runs with `./run chaos`."""

import json
from collections import Counter
from pathlib import Path

from crm_sync_pipeline_tests.builders import World
from crm_sync_pipeline_tests.chaos.dagster_keeps import everything_kept, failures_in, secrets_in, unforeseen_in
from crm_sync_pipeline_tests.chaos.dagster_level import plans

KEY = "xkeysib-test"


def test_every_kill_restart_and_cut_is_in_exactly_one_episode_and_seeds_follow_one_another() -> None:
    made = list(plans(kills=200, restarts=20, cuts=21, seed=5))
    assert [plan.seed for plan in made] == list(range(5, 5 + len(made)))
    assert sum(plan.kills for plan in made) == 200
    assert sum(plan.restarts for plan in made) == 20
    assert sum(plan.cuts for plan in made) == 21
    assert {plan.storage_is_behind_proxy for plan in made} == {True, False}


def test_the_smallest_level_is_one_episode() -> None:
    (plan,) = plans(kills=1, restarts=0, cuts=0, seed=1)
    assert (plan.kills, plan.restarts, plan.cuts) == (1, 0, 0)


def test_a_key_or_an_address_in_any_file_or_table_is_found(world: World, tmp_path: Path) -> None:
    world.script("CREATE TABLE public.event_logs (event text)")
    world.execute("INSERT INTO event_logs VALUES (:event)", event=f"header: {KEY}")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "daemon.log").write_text("could not send to ada@example.com")
    (tmp_path / "clean.log").write_text("postgres@127.0.0.1 said nothing")
    assert set(secrets_in(everything_kept(tmp_path, world), KEY)) == {
        "the key is in table event_logs",
        "an e-mail address is in logs/daemon.log: ada@example.com",
    }


def test_failures_of_steps_are_counted_by_what_they_said_and_unforeseen_ones_are_told(world: World) -> None:
    world.script("CREATE TABLE event_logs (event text, dagster_event_type text)")
    for said, times in {"Brevo is down: HTTP 503": 2, "Unexpected KeyError: 'id'": 1}.items():
        error = {"message": f"dagster._core.definitions.events.Failure: {said}\n"}
        event = json.dumps({"dagster_event": {"event_specific_data": {"error": error}}})
        for _ in range(times):
            world.execute("INSERT INTO event_logs VALUES (:event, 'STEP_FAILURE')", event=event)
    failures = failures_in(world)
    assert failures == Counter({"Brevo is down: HTTP 503": 2, "Unexpected KeyError: 'id'": 1})
    assert list(unforeseen_in(failures)) == ["1 steps failed with: Unexpected KeyError: 'id'"]
