"""Jobs whose journal is in PostgreSQL, so that several hosts can work on them."""
