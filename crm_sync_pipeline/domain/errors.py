class CrmSyncError(Exception):
    """Something a person can fix. Its text is one or two sentences: what, what follows, what to do."""


class WrongUseError(CrmSyncError):
    """What a person has set or asked for cannot be right; nothing was tried."""
