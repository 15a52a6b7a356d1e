-- add_entries
--
-- Put the contacts :entries into import :the_import, if they are claimed by :token; returns their ids.
--
-- One that a person took back since it was read stays out. One that an older import has, of a claim
-- that is void by now, moves over. Questions for each row instead of joins, whose plan would rest on a
-- guess of how many there are.
--
-- Used by Imports.begin.
--
-- Parameters:
-- \set the_import '00000000-0000-0000-0000-000000000000'
-- \set entries_rows '[]'
-- \set token '00000000-0000-0000-0000-000000000000'

INSERT INTO crm_sync.import_contacts (
    destination, import_id, contact_id, contact_hash, payload_hash, address_hash, message, remote_fields
)
SELECT 'brevo',
    :'the_import'::UUID AS anon_1,
    entries.contact_id,
    entries.contact_hash,
    entries.payload_hash,
    entries.address_hash,
    entries.message,
    entries.remote_fields
FROM json_to_recordset(CAST(:'entries_rows'::VARCHAR AS JSON)) AS entries(
    contact_id UUID, contact_hash TEXT, payload_hash TEXT, address_hash TEXT, message TEXT, remote_fields TEXT
)
WHERE (
    SELECT crm_sync.deliveries.claim_token
    FROM crm_sync.deliveries
    WHERE crm_sync.deliveries.contact_id = entries.contact_id
        AND crm_sync.deliveries.destination = 'brevo'
        AND CASE WHEN (crm_sync.deliveries.lease_expires_at > now()) THEN true ELSE false END
) = :'token'::UUID
    AND (
        SELECT CASE
            WHEN (
                public.contacts.brevo_processing_status = 'Processing'
                AND public.contacts.brevo_sync_status = 'Processing'
            ) THEN true
            ELSE false
        END AS anon_2
        FROM public.contacts
        WHERE public.contacts.id = entries.contact_id
    )
ON CONFLICT (contact_id, destination)
DO UPDATE SET import_id = excluded.import_id,
    contact_hash = excluded.contact_hash,
    payload_hash = excluded.payload_hash,
    address_hash = excluded.address_hash,
    message = excluded.message,
    remote_fields = excluded.remote_fields
RETURNING crm_sync.import_contacts.contact_id;
