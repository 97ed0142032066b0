"""Ready endpoints for webhooks: `asgi`, `wsgi` and `django`, each over a plain function.

`Receive` takes headers and body and gives a `Reception`; `Synchroniser.receive` is one once the
time is bound to it.
"""

from refundry_sync.receiving.reception import LARGEST_BODY_BYTES, Receive, Reception

__all__ = ["LARGEST_BODY_BYTES", "Receive", "Reception"]
