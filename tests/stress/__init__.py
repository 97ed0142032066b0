"""Stress of the queue of refunds, as a pure piece and as a service: see docs/reliability.md."""
