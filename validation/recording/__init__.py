"""Recording what live R gives, and replaying records against live R."""
