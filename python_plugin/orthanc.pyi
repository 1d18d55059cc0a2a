"""The part of orthanc-python's module that the plugin uses."""

from collections.abc import Callable
from typing import Any

class ChangeType:
    ORTHANC_STOPPED: int
    UPDATED_ATTACHMENT: int
    UPDATED_METADATA: int

class HttpMethod:
    DELETE: int
    GET: int
    POST: int
    PUT: int

def GetConfiguration() -> str: ...
def RegisterIncomingHttpRequestFilter(callback: Callable[..., bool]) -> None: ...
def RegisterOnChangeCallback(callback: Callable[[int, int, str], None]) -> None: ...
def RegisterOnStoredInstanceCallback(callback: Callable[[Any, str], None]) -> None: ...
def RegisterRestCallback(path: str, callback: Callable[..., None]) -> None: ...
