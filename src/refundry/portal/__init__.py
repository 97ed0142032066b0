"""The dashboard: pages for service staff, finance and developers, drawn on the server."""
