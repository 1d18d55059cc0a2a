"""The plugin of the cloud's Orthanc: refuses what `cloud_rules` does not name."""

from __future__ import annotations

from typing import Any

import cloud_rules
import orthanc

_METHODS = {
    orthanc.HttpMethod.GET: "GET",
    orthanc.HttpMethod.POST: "POST",
    orthanc.HttpMethod.PUT: "PUT",
    orthanc.HttpMethod.DELETE: "DELETE",
}


def on_request(uri: str, **request: Any) -> bool:
    """Whether the archive answers an HTTP request: by ``cloud_rules``."""
    # A filter is handed the method as a number; one that Orthanc adds later is allowed to nobody.
    method = _METHODS.get(request["method"], "UNKNOWN")
    return cloud_rules.allowed(method, uri, request["headers"])


orthanc.RegisterIncomingHttpRequestFilter(on_request)
