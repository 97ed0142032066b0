"""Refunds of Refundry in a shop of django-oscar: an installable Django app."""
