"""The commands of ``edge-router``, one module a topic, each with a ``register``."""

from router.commands import files, identity, operator, proof, quality, sending, service

#: In the order in which the help shows them.
TOPICS = (
    service.register, operator.register, proof.register, quality.register, identity.register,
    files.register, sending.register,
)  # fmt: skip
