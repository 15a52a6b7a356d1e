"""A vendor that does not exist: Brevo's contacts, three in a request, and every way to answer a batch."""
