"""The form in which notifications of processors are read and kept."""

import msgspec


class Data(msgspec.Struct, rename="camel"):
    """What a notification is about: an operation, or a dispute. amount: major units, as sent."""

    operation_id: str | None = None
    processor_reference: str | None = None
    charge_id: str | None = None
    amount: str | None = None
    reason: str | None = None
    fraud: bool | None = None
    code: str | None = None
    message: str | None = None
    failure_reason: str | None = None


class Notification(msgspec.Struct, rename="camel"):
    """A processor's notification."""

    id: str
    type: str
    data: Data
