"""The scanner's door: a front for the truck's Orthanc that lets whole, known associations through.

Nothing reaches Orthanc before a complete A-ASSOCIATE-RQ came from a known AE title at a known
address. What follows is passed on as it is; only what Orthanc accepts and does not serve is refused
in its answer. Standard library only.
"""
