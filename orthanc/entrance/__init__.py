"""The cloud's one door: who is asking, what may be asked, and what goes on to the archive.

nginx carries the bytes and asks this program about each request. The program reads the request's
line once (``target``), looks it up in one literal list (``routes``), and hands back the address that
it built from what it understood. What stands in no list does not exist.
"""
