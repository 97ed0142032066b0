"""Refundry: a self-hosted refund system."""

__version__ = "0.1.0"
