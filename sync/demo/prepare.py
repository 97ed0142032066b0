"""Makes the demo shop's database and fills it."""

import os

import django

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
    django.setup()

    from django.core.management import call_command

    from shop.seeding import fill

    call_command("migrate", verbosity=0)
    fill()
