"""What the webhook of a shop is to be sent."""

from refundry_sync.sync.merging import HANDLED_TYPES

# What the shop has to hear of; the webhook is to have these types.
EVENT_TYPES = tuple(sorted(HANDLED_TYPES))
