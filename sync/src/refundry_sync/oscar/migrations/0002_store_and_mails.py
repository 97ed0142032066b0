"""The tables of the synchroniser beside Oscar's, and the events that mails go out for."""

from typing import Any

from django.db import migrations

from refundry_sync.sync.schema import schema

# Texts are None: Oscar takes the files of this app until staff write their own.
_EVENTS = (
    ("REFUND_PROCESSING", "Refund is being processed"),
    ("REFUND_DETAILS_NEEDED", "Refund needs bank details"),
    ("REFUND_DETAILS_RECEIVED", "Bank details for a refund received"),
    ("REFUND_CONFIRMATION", "Refund was paid out"),
    ("REFUND_FAILED", "Refund failed"),
)


def make_tables(apps: Any, schema_editor: Any) -> None:
    postgresql = schema_editor.connection.vendor == "postgresql"
    for statement in schema("postgresql" if postgresql else "sqlite"):
        schema_editor.execute(statement, params=None)


def make_events(apps: Any, schema_editor: Any) -> None:
    types = apps.get_model("communication", "CommunicationEventType")
    for code, name in _EVENTS:
        types.objects.get_or_create(code=code, defaults={"name": name, "category": "Order related"})


class Migration(migrations.Migration):
    dependencies = [
        ("refundry_oscar", "0001_initial"),
        ("communication", "0004_auto_20200801_0817"),
    ]

    operations = [
        migrations.RunPython(make_tables, migrations.RunPython.noop),
        migrations.RunPython(make_events, migrations.RunPython.noop),
    ]
