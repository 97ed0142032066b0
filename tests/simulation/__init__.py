"""A simulator of the world around Refundry: see docs/reliability.md."""
