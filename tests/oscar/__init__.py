"""The shop's side in django-oscar: its mapping, and a real shop in a real browser."""
