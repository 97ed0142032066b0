"""The pages that shoppers see: the form for bank details, and how their refund stands."""
