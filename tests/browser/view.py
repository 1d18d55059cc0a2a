"""Looks at studies through the cloud's viewer, as a radiologist does, and says what was drawn.

    view.py STUDY_INSTANCE_UID...
    view.py --attacked              meets another site's page while it is signed in

Runs in the browser container, inside the stack's network. Prints one JSON object; the last
study's page is in it as a PNG, and so is the page on which something did not come in time.
"""

from __future__ import annotations

import base64
import http.server
import json
import os
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playwright.sync_api import Error, sync_playwright

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser, BrowserContext, Locator, Page

CLOUD = "https://cloud-proxy:8443"
CA = Path("/run/secrets/cloud_ca")
USER = "radiologist"
PASSWORD = Path("/run/secrets/radiologist_password")
_DEADLINE_S = 20.0
_SHOWN_GREYS = 32

# The overlay's colours (router/imaging/analysis/density.py), blended at 45 % over grey: what is left of a
# pixel without the colour's share must be grey, and no brighter than 55 %.
_MEASURE = """canvas => {
  const colours = [[0, 114, 178], [230, 159, 0], [204, 121, 167]], off = 6;
  const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  const greys = new Array(256).fill(0), coloured = [0, 0, 0];
  for (let i = 0; i < data.length; i += 4) {
    const rgb = [data[i], data[i + 1], data[i + 2]];
    if (Math.max(...rgb) - Math.min(...rgb) <= 2) { greys[rgb[1]] += 1; continue; }
    colours.forEach((colour, k) => {
      const rest = rgb.map((value, c) => value - 0.45 * colour[c]);
      const least = Math.min(...rest), most = Math.max(...rest);
      if (most - least <= off && least >= -off && most <= 0.55 * 255 + off) coloured[k] += 1;
    });
  }
  return {greys: greys.filter(n => n >= 10).length, coloured};
}"""


#: What another site's page tries in a reader's name; it returns what it could read.
_FOREIGN = """async cloud => {
  const read = [];
  const ask = async (path, how) => {
    try {
      const answer = await fetch(cloud + path, {credentials: 'include', ...how});
      if (answer.type !== 'opaque') read.push(`${how.method || 'GET'} ${path} ${answer.status}`);
    } catch { /* refused by the browser, or by the cloud */ }
  };
  for (const path of ['/dicom-web/studies', '/', '/sign-out', '/api/v1/write', '/app-config.js'])
    for (const mode of ['cors', 'no-cors']) {
      await ask(path, {mode});
      await ask(path, {mode, method: 'POST', body: 'x=1'});
    }
  for (const [path, fields] of [['/sign-out', {}], ['/sign-out', {form: 'x'}],
       ['/dicom-web/studies', {x: 1}], ['/sign-in', {user: 'radiologist', password: 'x'}]]) {
    const frame = document.body.appendChild(document.createElement('iframe'));
    frame.name = `frame${document.querySelectorAll('iframe').length}`;
    const form = document.body.appendChild(document.createElement('form'));
    Object.assign(form, {method: 'post', action: cloud + path, target: frame.name});
    for (const [name, value] of Object.entries(fields))
      form.appendChild(Object.assign(document.createElement('input'), {name, value}));
    form.submit();
  }
  for (const path of ['/', '/viewer', '/sign-out'])
    document.body.appendChild(document.createElement('iframe')).src = cloud + path;
  for (const path of ['/sign-out', '/dicom-web/studies'])
    document.body.appendChild(document.createElement('img')).src = cloud + path;
  await new Promise(done => setTimeout(done, 3000));
  return read;
}"""


class _Elsewhere(http.server.BaseHTTPRequestHandler):
    """A site of somebody else's, with an empty page."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><body>")

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def attacked() -> int:
    """Signs in, opens another site's page, and says what that could do."""
    trust_the_ca()
    site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Elsewhere)
    threading.Thread(target=site.serve_forever, daemon=True).start()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        page = signed_in(browser, {})
        page.goto(f"http://localhost:{site.server_port}/")
        read = page.evaluate(_FOREIGN, CLOUD)
        framed = [frame.url for frame in page.frames if frame.url.startswith(CLOUD)]
        page.goto(f"{CLOUD}/", wait_until="commit")
        own = page.url  # the sign-in's, where somebody has signed the reader out
        browser.close()
    print(json.dumps({"read": read, "framed": framed, "own": own}))
    return 0


def main() -> int:
    begun = time.monotonic()
    found: dict[str, Any] = {"without_password": without_password(), "studies": {}}
    trust_the_ca()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            # The container is the sandbox, and draws without a graphics card.
            args=["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"],
        )
        page = signed_in(browser, found)
        try:
            for number, uid in enumerate(sys.argv[1:]):
                found["studies"][uid] = look_at(page, uid, first=number == 0)
        except (TimeoutError, Error) as error:
            found["error"] = str(error)
        found["picture"] = base64.b64encode(page.screenshot()).decode()
        browser.close()
    found["seconds"] = round(time.monotonic() - begun, 1)
    print(json.dumps(found))
    return 0


def without_password() -> dict[str, int]:
    """The status of each kind of address when nobody has signed in."""
    context = ssl.create_default_context(cafile=CA)
    answers = {}
    for path in ("/", "/viewer", "/app-config.js", "/index.html", "/dicom-web/studies"):
        try:
            with urllib.request.urlopen(  # noqa: S310  (the address is a constant)
                CLOUD + path, context=context, timeout=10
            ) as response:
                answers[path] = response.status
        except urllib.error.HTTPError as error:
            with error:
                asks = error.headers.get("WWW-Authenticate", "").startswith("Basic")
                answers[path] = error.code if asks else -error.code
    return answers


def trust_the_ca() -> None:
    """Puts the stack's CA where Chromium looks for the user's own ones."""
    folder = Path(os.environ["HOME"]) / ".pki" / "nssdb"
    folder.mkdir(parents=True)
    for arguments in (["-N", "--empty-password"],
                      ["-A", "-t", "C,,", "-n", "stack", "-i", str(CA)]):  # fmt: skip
        subprocess.run(["/usr/bin/certutil", "-d", f"sql:{folder}", *arguments], check=True)


def signed_in(browser: Browser, found: dict[str, Any]) -> Page:
    """A page behind the sign-in; what the browser asks for in vain goes into ``found``."""
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    context.set_default_timeout(_DEADLINE_S * 1000)
    foreign = found["foreign"] = []
    refused = found["refused"] = []
    failed = found["failed"] = []

    def requested(url: str) -> None:
        if not url.startswith((f"{CLOUD}/", f"blob:{CLOUD}/", "data:")):
            foreign.append(url)

    def said(text: str) -> None:
        if "Content Security Policy" in text:
            refused.append(text)

    def answered(status: int, url: str) -> None:
        if status >= 400:
            failed.append(f"{status} {url}")

    context.on("request", lambda request: requested(request.url))
    sign_in(context, said)
    context.on("requestfailed", lambda request: failed.append(f"{request.failure} {request.url}"))
    context.on("response", lambda response: answered(response.status, response.url))
    page = context.new_page()
    page.on("console", lambda message: said(message.text))
    page.on("pageerror", lambda error: failed.append(f"{error.name}: {error.message}"))
    return page


def sign_in(context: BrowserContext, said: Callable[[str], None]) -> None:
    """Fills in the form that the viewer's address leads to, on a page that is left at once."""
    page = context.new_page()
    page.on("console", lambda message: said(message.text))
    page.goto(f"{CLOUD}/")
    page.get_by_label("User").fill(USER)
    page.get_by_label("Password").fill(PASSWORD.read_text().strip())
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{CLOUD}/", wait_until="commit")
    page.close()


def look_at(page: Page, uid: str, *, first: bool) -> dict[str, Any]:
    """Opens a study from the study list, its first series beside its first capture.

    A browser that comes for the first time meets a notice on the list and a tour in the viewer.
    """
    page.goto(f"{CLOUD}/")
    patient = page.evaluate(
        "async url => (await (await fetch(url)).json())[0]['00100020'].Value[0]",
        f"/dicom-web/studies?StudyInstanceUID={uid}",
    )
    if first:  # the notice covers the last rows of a long list
        dismiss(page.get_by_role("button", name="Confirm and hide"))
    page.get_by_role("row").filter(has_text=patient).click()
    page.get_by_text("Basic Viewer").click()
    page.wait_for_url(f"**/viewer?*{uid}*")
    panes = page.locator("[data-cy=viewport-pane]")
    canvases = panes.locator("canvas.cornerstone-canvas")
    until(lambda: canvases.count() == 1, "the viewport")
    if first:
        dismiss(page.get_by_text("Skip all"))
    page.locator("[data-cy=Layout]").click()
    page.locator("[data-cy=Layout-1-0]").click()  # one row of two
    until(lambda: panes.count() == 2, "two viewports")
    panes.nth(1).click()
    page.get_by_text("K-Means segmentation").first.dblclick()
    until(lambda: canvases.count() == 2, "two canvases")
    until(lambda: measure(canvases.nth(0))["greys"] >= _SHOWN_GREYS, "the source image")
    until(lambda: sum(measure(canvases.nth(1))["coloured"]) > 0, "the capture")
    # Thumbnails and the interface's own pieces are part of what may be asked for in vain.
    page.wait_for_load_state("networkidle")
    return {
        "patient": patient,
        "source": measure(canvases.nth(0)),
        "capture": measure(canvases.nth(1)),
    }


def dismiss(button: Locator) -> None:
    """Presses what lies over the page."""
    button.click()
    button.wait_for(state="hidden")


def measure(canvas: Locator) -> dict[str, Any]:
    """How many levels of grey a canvas shows, and how many pixels of each overlay colour."""
    measured: dict[str, Any] = canvas.evaluate(_MEASURE)
    return measured


def until(ask: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + _DEADLINE_S
    while not ask():
        if time.monotonic() > end:
            message = f"{what} did not appear within {_DEADLINE_S:.0f} s"
            raise TimeoutError(message)
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(attacked() if sys.argv[1:] == ["--attacked"] else main())
