"""Goods that come back, and the refunds that their acceptance makes."""
