"""The vendors that trials are held against: a module each."""
