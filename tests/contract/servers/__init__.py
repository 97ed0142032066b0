"""Stateful processors of our own, written from their public API documentation."""
