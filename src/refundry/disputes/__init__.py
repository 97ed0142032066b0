"""Disputes, chargebacks and sales transactions."""
