"""How fast images are stored through the entrance, against nginx that passes them straight on.

Both ways lead to the same archive, take turns in one run, and get images of their own.

    scripts/bench entrance
"""

from __future__ import annotations

import os
import random
import re
import statistics
import subprocess
import tempfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import requests
from testcontainers.core.network import Network

from tests.support import monitoring
from tests.support.certificates import Authority
from tests.support.cloud import cloud, password_of
from tests.support.orthancs import PASSWORD

if TYPE_CHECKING:
    from tests.support.cloud import Cloud
    from tests.support.monitoring import Service

#: Images, bytes of their pixels, images a request, connections.
_KINDS = {"ct": (60, 512 * 512 * 2, 8, 4), "mg": (6, 14_000_000, 1, 4)}
_ROUNDS = 7

_STRAIGHT = """
daemon off; pid /tmp/nginx.pid; error_log /dev/stderr warn; worker_processes 2;
events { worker_connections 256; }
http {
  access_log off; client_body_temp_path /tmp/body; proxy_temp_path /tmp/proxy;
  fastcgi_temp_path /tmp/f; uwsgi_temp_path /tmp/u; scgi_temp_path /tmp/s;
  server {
    listen 8443 ssl;
    ssl_certificate /run/secrets/cloud_certificate;
    ssl_certificate_key /run/secrets/cloud_certificate_key;
    client_max_body_size 0; proxy_request_buffering off; proxy_buffering off;
    proxy_http_version 1.1; proxy_set_header Connection "";
    resolver 127.0.0.11 valid=5s ipv6=off;
    set $archive cloud-orthanc:8042;
    location / { proxy_pass http://$archive; }
  }
}
"""


def main() -> None:
    """Prints the ratios; more than 1: the entrance is faster."""
    with tempfile.TemporaryDirectory() as made, Network() as network:
        folder = Path(made)
        folder.chmod(0o755)
        authority = Authority(folder, "ca")
        (folder / "nginx.conf").write_text(_STRAIGHT)
        (folder / "nginx.conf").chmod(0o644)
        with cloud(network, folder, authority) as new:
            shown = authority.sign("straight", "serverAuth")
            with monitoring.running(
                "straight", monitoring.PROXY, network, "/", of="proxy", ca=authority.file,
                files={folder / "nginx.conf": "/etc/nginx/nginx.conf",
                       shown.file: "/run/secrets/cloud_certificate",
                       shown.key: "/run/secrets/cloud_certificate_key"},
            ) as old:  # fmt: skip
                _compare(new, old)


def _compare(new: Cloud, old: Service) -> None:
    ca = str(new.authority.file)
    said = []
    for kind, (count, pixels, together, connections) in _KINDS.items():
        times: dict[str, list[float]] = {"old": [], "new": []}
        spent: dict[str, dict[str, list[float]]] = {"old": {}, "new": {}}
        for number in range(_ROUNDS + 1):
            for way in ("old", "new") if number % 2 else ("new", "old"):
                url = new.url if way == "new" else old.url
                auth = ("truck-A", password_of("truck-A")) if way == "new" else ("store", PASSWORD)
                servers = {"archive": new.archive} | (
                    {"nginx": new.proxy, "entrance": new.entrance}
                    if way == "new"
                    else {"nginx": old}
                )
                images = _images(count, pixels)
                before = {name: _processor_s(server) for name, server in servers.items()}
                seconds = _store(url, auth, ca, images, together, connections)
                if number:  # the first warms up
                    times[way].append(seconds)
                    for name, server in servers.items():
                        spent[way].setdefault(name, []).append(_processor_s(server) - before[name])
        ratios = [before / after for before, after in zip(times["old"], times["new"], strict=True)]
        rate = count * pixels / statistics.median(times["new"]) / 1e6
        print(f"  {kind}: old {statistics.median(times['old']):.3f} s, new "
              f"{statistics.median(times['new']):.3f} s, {rate:.0f} MB/s, ratios "
              + " ".join(f"{one:.2f}" for one in ratios))  # fmt: skip
        # Of each part its quietest round: the others hold what else the machine did.
        least = {
            way: {name: min(rounds) for name, rounds in parts.items()}
            for way, parts in spent.items()
        }
        for way, parts in least.items():
            print(f"  {kind}: {way}, processor seconds: "
                  + ", ".join(f"{name} {one:.2f}" for name, one in parts.items()))  # fmt: skip
        processor = sum(least["old"].values()) / sum(least["new"].values())
        said.append(
            f"{kind}_ratio={statistics.median(ratios):.3f} {kind}_processor_ratio={processor:.3f}"
        )
    status = subprocess.run(
        ["docker", "exec", new.entrance.id, "cat", "/proc/1/status"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    peak = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert peak is not None
    print(f"bench entrance: {' '.join(said)} entrance_peak_mib={int(peak[1]) / 1024:.0f}")


def _processor_s(service: Service) -> float:
    """What all processes of a container have used; on a busy machine it says more than the time."""
    out = subprocess.run(
        ["docker", "exec", service.id, "sh", "-c", "cat /proc/[0-9]*/stat"],
        capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip
    ticks = 0
    for line in out.splitlines():
        fields = line.rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _images(count: int, pixels: int) -> list[bytes]:
    """Plain images of one study, each with pixels of its own."""
    study, series = uuid.uuid4().int, uuid.uuid4().int
    return [_image(f"2.25.{study}", f"2.25.{series}", pixels) for _ in range(count)]


def _image(study: str, series: str, pixels: int) -> bytes:
    from tests.support.nested_image import file_of, image  # noqa: PLC0415

    made = image(2, study, pixels)
    made.SeriesInstanceUID = series
    made.PixelData = random.randbytes(pixels)
    return file_of(made)


def _store(
    url: str, auth: tuple[str, str], ca: str, images: list[bytes], together: int, connections: int
) -> float:
    batches = [images[place : place + together] for place in range(0, len(images), together)]
    session = requests.Session()
    session.trust_env, session.verify, session.auth = False, ca, auth
    adapter = requests.adapters.HTTPAdapter(pool_maxsize=connections)
    session.mount("https://", adapter)

    def send(batch: list[bytes]) -> None:
        boundary = uuid.uuid4().hex
        body = (
            b"".join(
                f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode() + one + b"\r\n"
                for one in batch
            )
            + f"--{boundary}--\r\n".encode()
        )
        kind = f'multipart/related; type="application/dicom"; boundary={boundary}'
        answer = session.post(
            f"{url}/dicom-web/studies", data=body, timeout=60,
            headers={"Content-Type": kind, "Accept": "application/dicom+json"},
        )  # fmt: skip
        assert answer.status_code == 200, answer.text
        assert len(answer.json()["00081199"]["Value"]) == len(batch)

    with ThreadPoolExecutor(connections) as workers:
        begun = time.perf_counter()
        list(workers.map(send, batches))
        return time.perf_counter() - begun


if __name__ == "__main__":
    main()
