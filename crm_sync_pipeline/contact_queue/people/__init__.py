"""What people do to contacts: select, hold, requeue, forget; with a record of each act."""
