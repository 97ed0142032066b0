"""The checkout of the demo: Oscar's, with a step for the payment and prices with tax."""
