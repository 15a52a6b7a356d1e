"""The queue in PostgreSQL: the user's contacts table, our tables beside it, and every statement there is.

A statement is in the `*_sql` module beside its user, and is named after what it guarantees. Statuses are literals, not
parameters: under a generic plan a parameter cannot use the partial indexes. Every writer of `deliveries` holds the lock
of its contact's row first; so what runs under that lock sees the truth.
"""
