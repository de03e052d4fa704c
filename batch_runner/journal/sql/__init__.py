"""The journal in SQL: what SQLite and PostgreSQL share."""
