"""Backups of the embedded database, and what makes a restored copy worth trusting."""
