"""`python -m refundry`."""

from refundry.cli import main

main()
