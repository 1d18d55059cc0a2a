"""Tables of the standard and lists of words: data, and nothing that decides."""
