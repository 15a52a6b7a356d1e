"""The queue in PostgreSQL: the user's contacts table, our three tables beside it, and every statement there is."""
