class CrmSyncError(Exception):
    """Something a person can mend. Its text is one or two sentences: what, what follows, what to do."""
