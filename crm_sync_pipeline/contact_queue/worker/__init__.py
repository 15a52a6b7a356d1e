"""What runs do: claim, journal, settle, keep the pace. Each statement is beside its user, in `*_sql`."""
