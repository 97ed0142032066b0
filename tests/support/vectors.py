"""Signatures of the contract's worked examples: two secrets, one time, a short and a long body."""

import json

NEW = "6d0f3c2a9b7e4e15a1c84f20d7b35e98"
OLD = "c41be07f52d94a7c8e63f19a0d2b7c55"
AT = 1714557600
SHORT = "{}"
SHORT_BY_NEW = "zZu6+nrd+FKXgu/awYPUH6Kgnp4AsOMZDhJZ3cInSDU="
SHORT_BY_OLD = "KhrjDw+7966+jHILN1NlgItRMIyJZix+UJaXqF/we8w="
EVENT = json.dumps(
    {
        "id": "79512001-cb5c-4dad-be1f-46ce0345a86c",
        "type": "refund.complete",
        "data": {
            "object": {
                "id": "re_8e6bbb39-efd1-4baa-bd99-dc51d7d0321e",
                "amount": 13.51,
                "createdTime": "2024-05-01T09:58:12Z",
                "currency": "USD",
                "items": [],
                "orderId": "248133597195",
                "refundedAmount": 13.51,
                "state": "succeeded",
                "liveMode": False,
            }
        },
        "liveMode": False,
        "createdTime": "2024-05-01T09:59:58.120334Z",
        "webhookIds": ["5587f728-04f3-43b8-a5d0-2430d7afaf22"],
        "digitalriverVersion": "2021-12-13",
    },
    separators=(",", ":"),
)
EVENT_BY_NEW = "NHq3heUG5qVUR+ZTvVVd9Jv5+LN5Vq+Ix505JLPBSWg="
EVENT_BY_OLD = "NR8iWpIVJ0LBHN7glGoe0pSbFsFf5vy295363B2Zz/c="
