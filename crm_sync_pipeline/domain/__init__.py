"""The rules, pure: what a contact is, the result of an attempt, what becomes of it. Standard library only."""
