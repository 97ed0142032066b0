"""Requests made from the OpenAPI document by schemathesis, alone and in chains."""
