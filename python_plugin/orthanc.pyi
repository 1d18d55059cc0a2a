"""The part of orthanc-python's module that the plugin uses."""

from collections.abc import Callable
from typing import Any

class ChangeType:
    ORTHANC_STARTED: int
    ORTHANC_STOPPED: int
    UPDATED_ATTACHMENT: int
    UPDATED_METADATA: int

class HttpMethod:
    DELETE: int
    GET: int
    POST: int
    PUT: int

class InstanceOrigin:
    DICOM_PROTOCOL: int

class ReceivedInstanceAction:
    KEEP_AS_IS: int
    MODIFY: int

class OrthancException(Exception): ...

class DicomInstance:
    def SerializeDicomInstance(self) -> bytes: ...

def GetConfiguration() -> str: ...
def LogWarning(message: str) -> None: ...
def RegisterIncomingCStoreInstanceFilter(callback: Callable[[Any], int]) -> None: ...
def RegisterIncomingHttpRequestFilter(callback: Callable[..., bool]) -> None: ...
def RegisterOnChangeCallback(callback: Callable[[int, int, str], None]) -> None: ...
def RegisterOnStoredInstanceCallback(callback: Callable[[Any, str], None]) -> None: ...
def RegisterReceivedInstanceCallback(
    callback: Callable[[bytes, int], tuple[int, bytes | None]],
) -> None: ...
def RegisterRestCallback(path: str, callback: Callable[..., None]) -> None: ...
def RestApiPost(uri: str, body: bytes) -> bytes: ...
def TranscodeDicomInstance(buffer: bytes, transfer_syntax: str) -> DicomInstance: ...
