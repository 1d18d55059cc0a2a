"""Faults: real processes are killed, cut off, filled up and lied to, and the cloud is audited."""
