"""A link of our own: rate, delay, jitter, loss, silence, resets and cuts, in user space.

It is a TCP proxy, so it needs no root, no kernel module and no network namespace, and runs in any
container and on any CI. What a proxy cannot have by itself (it ends the sender's TCP) is modelled
segment by segment, see ``tests.link.tcp``.
"""
