"""The contacts table for who has none yet."""

import sqlalchemy as sa

from crm_sync_pipeline.contact_queue.database.catalogue import find_contacts_table
from crm_sync_pipeline.contact_queue.database.contacts_table import ContactsTable, quoted
from crm_sync_pipeline.contact_queue.database.schema import SchemaError
from crm_sync_pipeline.domain.crm import Crms
from crm_sync_pipeline.domain.transition import ProcessingStatus, SyncStatus


def create_contacts(connection: sa.Connection, name: str, crms: Crms) -> ContactsTable:
    """Create the table `name` (or schema.name), with the columns of these CRMs."""
    schema, _, table = name.rpartition(".")
    statuses = ", ".join(f"'{status.value}'" for status in SyncStatus)
    states = ", ".join(f"'{status.value}'" for status in ProcessingStatus)
    of_crms = "".join(
        f"""
        {crm.sync_status} text NOT NULL DEFAULT 'New' CHECK ({crm.sync_status} IN ({statuses})),
        {crm.processing_status} text CHECK ({crm.processing_status} IN ({states})),
        {crm.processing_error} text,
        {crm.id_column} varchar,"""
        for crm in crms.values()
    )
    full_name = f"{quoted(schema)}.{quoted(table)}" if schema else quoted(table)
    if schema:
        connection.execute(sa.text(f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}"))
    connection.execute(
        sa.text(
            f"""
    CREATE TABLE {full_name} (
        id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
        domain_id uuid,
        page_id uuid,
        email text NOT NULL,
        email_type text CHECK (email_type IN ('SERVICE', 'CORPORATE', 'FREE', 'UNKNOWN')),
        has_gmail boolean DEFAULT false,
        context text,
        source_url text,
        source_job_id uuid,
        name varchar,
        phone_number varchar,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),{of_crms}
        retry_count integer NOT NULL DEFAULT 0,
        next_retry_at timestamptz,
        last_retry_at timestamptz,
        last_failed_crm varchar,
        UNIQUE (domain_id, email)
    )"""
        )
    )
    created = find_contacts_table(connection, name, crms)
    if created is None:
        raise SchemaError(f"{name} was created but can't be found: is its schema in the search_path?")
    return created
