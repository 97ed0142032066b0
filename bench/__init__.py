"""Measures the service over HTTP, and in the same run PostgreSQL alone with the same statements."""
