"""Delivers contacts selected in a Postgres table to CRMs."""
