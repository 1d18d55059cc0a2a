"""Delivery to one destination: send, read back, and only then believe.

The link has a state and items do not pay for it: a transport error trips the circuit breaker, a cheap
probe resets it, and being offline costs no attempts. Only a destination's own refusal of an
instance counts against that instance.
"""

from router.pipeline.deliver.loop import Delivery, Limits
from router.pipeline.deliver.outcomes import MOST_TRIES

__all__ = ["MOST_TRIES", "Delivery", "Limits"]
