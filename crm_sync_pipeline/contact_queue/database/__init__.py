"""The database under the queue: connections, tables, the user's own table, and the upgrade."""
