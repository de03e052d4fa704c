"""Helpers that know nothing of jobs and items."""
