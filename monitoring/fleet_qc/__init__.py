"""Finds the scanner that is broken, or about to be, among all scanners of a programme.

It sees counts, sums and sums of squares of image features, by truck, device and view: never an
image, never a patient. ``records`` and the modules that import nothing but it and numerics are
pure; ``prometheus`` reads, ``exporter`` and ``report`` write, ``service`` composes.
"""
