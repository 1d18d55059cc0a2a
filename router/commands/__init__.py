"""The commands of ``edge-router``, one module a topic, each with a ``register``."""

from router.commands import identity, operator, service

#: In the order in which the help shows them.
TOPICS = (service.register, operator.register, identity.register)
