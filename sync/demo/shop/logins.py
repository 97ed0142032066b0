"""Who can sign in to the demo shop, and the voucher that they may use."""

PASSWORD = "outdoor-demo"  # of a demo on this machine
STAFF = "staff@shop.example"
CLERK = "clerk@shop.example"
CUSTOMER = "ana@shop.example"
VOUCHER = "SAVE10"
