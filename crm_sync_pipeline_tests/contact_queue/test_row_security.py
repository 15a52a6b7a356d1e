"""Row-level security: it is named, and what can't be seen is not taken for deleted."""

from datetime import timedelta
from uuid import UUID

import pytest

from crm_sync_pipeline.contact_queue.database.finding import Finding
from crm_sync_pipeline.contact_queue.people.acts import Actor
from crm_sync_pipeline.domain.errors import CrmSyncError
from crm_sync_pipeline_tests.builders import World, attempt, one_run
from crm_sync_pipeline_tests.contact_queue.roles import ON_CONTACTS, ON_OURS, a_role

GRANTS = ON_CONTACTS + ON_OURS + "ALTER TABLE contacts ENABLE ROW LEVEL SECURITY;"
SEES_SOME = "CREATE POLICY seen ON contacts TO {role} USING (has_gmail) WITH CHECK (true);"


def line_of(world: World, table: str = "public.contacts") -> Finding | None:
    wrong = [line for line in world.database.check() if line.ok is False]
    found = [line for line in wrong if line.subject == f"Row-level security of {table}"]
    assert found == wrong
    return found[0] if found else None


def deliveries(world: World) -> set[UUID]:
    return {row["contact_id"] for row in world.rows("SELECT contact_id FROM crm_sync.deliveries")}


@pytest.mark.parametrize(
    "policies",
    [
        "",
        SEES_SOME,
        "CREATE POLICY a ON contacts FOR SELECT USING (true);",
        "CREATE POLICY a ON contacts FOR SELECT USING (true);"
        "CREATE POLICY b ON contacts FOR UPDATE USING (has_gmail) WITH CHECK (true);",
        "CREATE POLICY a ON contacts FOR SELECT USING (true);"
        "CREATE POLICY b ON contacts FOR UPDATE USING (true) WITH CHECK (has_gmail);",
        "CREATE POLICY a ON contacts TO postgres USING (true);",
        "CREATE POLICY a ON contacts FOR INSERT WITH CHECK (true);",
    ],
)
def test_policies_that_may_hide_a_row_are_named_and_the_remedy_shows_all(fresh: World, policies: str) -> None:
    with a_role(fresh, GRANTS + policies) as (role, theirs):
        line = line_of(theirs)
        assert line is not None
        assert f"it applies to role {role}" in line.detail
        assert "never delivered" in line.detail
        assert theirs.database.contacts().hides_rows
        fresh.script(line.remedy)
        assert line_of(theirs) is None
        assert not theirs.database.contacts().hides_rows
        fresh.add("a@example.com", "b@example.com")
        assert one_run(theirs.queue()).total == 2


@pytest.mark.parametrize(
    "policies",
    [
        "CREATE POLICY a ON contacts USING (true);",
        "CREATE POLICY a ON contacts FOR SELECT USING (true); CREATE POLICY b ON contacts FOR UPDATE USING (true);",
        "CREATE POLICY a ON contacts TO {role} USING (true); CREATE POLICY b ON contacts USING (has_gmail);",
        "CREATE POLICY a ON contacts USING (true);"
        "CREATE POLICY b ON contacts AS RESTRICTIVE FOR DELETE USING (has_gmail);",
        "CREATE POLICY a ON contacts USING (true);"
        "CREATE POLICY b ON contacts AS RESTRICTIVE TO postgres USING (false);",
        "ALTER ROLE {role} BYPASSRLS;",
        "ALTER TABLE contacts DISABLE ROW LEVEL SECURITY;",
    ],
)
def test_policies_that_hide_nothing_are_fine(fresh: World, policies: str) -> None:
    with a_role(fresh, GRANTS + policies) as (_, theirs):
        assert line_of(theirs) is None
        assert not theirs.database.contacts().hides_rows


def test_a_restrictive_policy_is_named_and_only_a_bypass_helps(fresh: World) -> None:
    sees_all = "CREATE POLICY a ON contacts USING (true);"
    restricts = "CREATE POLICY b ON contacts AS RESTRICTIVE FOR UPDATE USING (has_gmail);"
    with a_role(fresh, GRANTS + sees_all + restricts) as (role, theirs):
        line = line_of(theirs)
        assert line is not None
        assert line.remedy == f"ALTER ROLE {role} BYPASSRLS;"
        fresh.script(line.remedy)
        assert line_of(theirs) is None


def test_an_owner_who_forces_it_upon_itself_is_told_too(fresh: World) -> None:
    policies = "ALTER TABLE contacts OWNER TO {role}; ALTER TABLE contacts FORCE ROW LEVEL SECURITY;"
    with a_role(fresh, GRANTS + policies) as (_, theirs):
        assert line_of(theirs) is not None
        fresh.script("ALTER TABLE contacts OWNER TO postgres")


def test_on_our_own_tables_it_is_named_too(fresh: World) -> None:
    enable = "ALTER TABLE crm_sync.deliveries ENABLE ROW LEVEL SECURITY;"
    with a_role(fresh, ON_CONTACTS + ON_OURS + enable) as (_, theirs):
        line = line_of(theirs, "crm_sync.deliveries")
        assert line is not None
        assert "crm_sync can't keep its books" in line.detail
        fresh.script(line.remedy)
        assert line_of(theirs, "crm_sync.deliveries") is None


def test_pruning_removes_what_is_old_and_nothing_because_its_contact_is_hidden(fresh: World) -> None:
    seen, hidden = fresh.add("a@example.com", has_gmail=True) + fresh.add("b@example.com", has_gmail=False)
    one_run(fresh.queue())
    with a_role(fresh, GRANTS + SEES_SOME) as (_, theirs):
        pruned = theirs.database.history().prune(90)
        assert (pruned.deliveries_of_gone, pruned.attempts_of_gone, pruned.old_attempts) == (0, 0, 0)
        assert "Row-level security may hide contacts" in pruned.says(90, dry_run=False)
        assert deliveries(fresh) == {seen, hidden}
        fresh.pass_time(timedelta(days=91))
        assert theirs.database.history().prune(90).old_attempts == 2
        assert deliveries(fresh) == {seen, hidden}


def test_a_contact_that_can_not_be_seen_is_not_forgotten(fresh: World) -> None:
    (hidden,) = fresh.add("b@example.com", has_gmail=False)
    one_run(fresh.queue())
    with a_role(fresh, GRANTS + SEES_SOME) as (_, theirs):
        with pytest.raises(CrmSyncError, match="can't be seen: row-level security"):
            theirs.database.history().forget(hidden, Actor("me"))
        assert deliveries(fresh) == {hidden}


@pytest.mark.parametrize("ends", ["settled by its own run", "recovered when its lease is over"])
def test_a_contact_that_is_hidden_while_it_is_claimed_is_unclaimed_and_not_deleted(fresh: World, ends: str) -> None:
    seen, hidden = fresh.add("a@example.com", "b@example.com", has_gmail=True)
    with a_role(fresh, GRANTS + SEES_SOME) as (_, theirs):
        queue = theirs.queue()
        token = queue.claim(10).token
        queue.journal(token, [attempt(contact) for contact in queue.contacts_of(token)])
        fresh.execute("UPDATE contacts SET has_gmail = false WHERE id = :id", id=hidden)
        if ends.startswith("settled"):
            settlement = queue.settle(token)
            assert (settlement.superseded, settlement.total) == (1, 2)
        else:
            fresh.pass_time(timedelta(seconds=301))
            assert queue.needs_recovery()
            queue.recover()
        assert not queue.needs_recovery()
        assert fresh.status(seen)[1] != "Processing"
        assert deliveries(fresh) == {seen, hidden}
        unclaimed = fresh.delivery(hidden)
        assert (unclaimed["claim_token"], unclaimed["lease_expires_at"], unclaimed["payload_hash"]) == (
            None,
            None,
            None,
        )


def test_without_row_level_security_a_deleted_contact_is_still_forgotten(fresh: World) -> None:
    kept, gone = fresh.add("a@example.com", "b@example.com")
    with a_role(fresh, ON_CONTACTS + ON_OURS) as (_, theirs):
        queue = theirs.queue()
        token = queue.claim(10).token
        fresh.execute("DELETE FROM contacts WHERE id = :id", id=gone)
        queue.settle(token)
        assert deliveries(fresh) == {kept}
