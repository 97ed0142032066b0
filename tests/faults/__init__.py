"""Faults put into the real thing: processes, disks, lines and clocks, while refunds flow."""
