"""The statements of one destination's queue, each named after what it guarantees.

Statuses are literals, not parameters: under a generic plan a parameter cannot use the partial indexes. Every writer of
`deliveries` holds the lock of its contact's row first; so what runs under that lock sees the truth.
"""
