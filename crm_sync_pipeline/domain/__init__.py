"""The rules, pure: what a contact is, what an attempt came to, what becomes of it. Standard library only."""
