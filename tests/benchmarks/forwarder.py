"""orthanc-team's OrthancForwarder with its defaults. Runs in an environment of its own.

``python forwarder.py SOURCE_URL USER PASSWORD PEER``: forwards everything to a peer, for ever.
"""

import sys

from orthanc_api_client import OrthancApiClient
from orthanc_tools import ForwarderDestination, ForwarderMode, OrthancForwarder


def main() -> None:
    url, user, password, peer = sys.argv[1:]
    source = OrthancApiClient(url, user=user, pwd=password)
    destination = ForwarderDestination(destination=peer, forwarder_mode=ForwarderMode.PEERING)
    OrthancForwarder(source, [destination]).execute()


if __name__ == "__main__":
    main()
