"""Attacks on a truck and a cloud, while good studies keep flowing. ``scripts/abuse`` runs it."""
