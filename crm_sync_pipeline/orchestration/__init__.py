"""Dagster, and only Dagster: no rule lives here."""
