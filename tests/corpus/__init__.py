"""A corpus of generated DICOM files with an answer key, and what scores a de-identifier by it.

The key is written from PS3.15 (Table E.1-1 with its options) and PS3.3 (types of attributes)
alone. Nothing in this package imports ``router.deid``: what the product and its judge shared
would prove nothing.
"""
