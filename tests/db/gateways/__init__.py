"""The engine with gateways: real connectors against processors' stand-ins, on the real database."""
