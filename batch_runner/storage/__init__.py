"""Downloaded files: verified and placed."""
