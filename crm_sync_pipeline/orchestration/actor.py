"""Who started a run."""

import dagster as dg

from crm_sync_pipeline.contact_queue.people.acts import Actor

USER_TAGS = ("user", "dagster/user")
UNKNOWN = "dagster"
"""Dagster's own webserver does not know who uses it; a proxy or a script may say so by a tag."""


def actor_of(context: dg.OpExecutionContext) -> Actor:
    """The person that a tag of the run names, and the run."""
    tags = context.run.tags
    return Actor(next((tags[name] for name in USER_TAGS if tags.get(name)), UNKNOWN), context.run_id)
