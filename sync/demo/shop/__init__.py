"""A shop of django-oscar with Refundry, to look at and to test with."""
