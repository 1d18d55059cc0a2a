"""Pixels: decoded, analysed, judged for quality, and the objects that are made of them."""
