"""Dense and sparse linear algebra that the rest stands on."""
