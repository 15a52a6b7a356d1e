"""Alembic's entry: runs on the connection that `upgrade()` holds, so that one lock guards it all."""

from alembic import context

from crm_sync_pipeline.contact_queue.database.tables import SCHEMA, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table_schema=SCHEMA,
    include_schemas=True,
    include_name=lambda name, kind, _parents: kind != "schema" or name == SCHEMA,
)
with context.begin_transaction():
    context.run_migrations()
