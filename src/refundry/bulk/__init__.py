"""Bulk refunds: a file of requests, checked as a whole, confirmed by its total, made once."""
