"""Bank details that shoppers give by a token: their forms, limits and operations."""
