"""Brevo: its requests, its answers, its set-up and its import."""
