"""`python -m refundry_sync` is `refundry-sync`."""

from refundry_sync.cli import main

main()
