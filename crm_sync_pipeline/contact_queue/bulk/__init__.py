"""Imports: what was sent to a destination in one request, and waits there for its end."""
