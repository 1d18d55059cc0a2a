"""The commands of ``edge-router``, one module a topic, each with a ``register``."""

from router.commands import (
    files,
    golden,
    identity,
    mine,
    operator,
    proof,
    quality,
    replace,
    sending,
    service,
    standing,
)

#: In the order in which the help shows them.
TOPICS = (
    service.register, operator.register, replace.register, standing.register, proof.register,
    quality.register, identity.register, files.register, sending.register, mine.register,
    golden.register,
)  # fmt: skip
