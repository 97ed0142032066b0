"""Webhooks: who is told of events, and the deliveries to them."""
