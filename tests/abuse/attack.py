"""The attacks, one after the other, and what they did."""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from statistics import median
from typing import TYPE_CHECKING

from tests.abuse import corpus, dimse, sockets, web
from tests.abuse.amounts import LONG, PARTS, Amounts
from tests.abuse.canaries import Watch
from tests.abuse.flow import Archive, Flow
from tests.abuse.health import ACCEPTED, Health
from tests.abuse.report import Report
from tests.benchmarks.main_way import Memory
from tests.support import remote_write, scanner
from tests.support.door import Nuisance, answer
from tests.support.nuisance import request
from tests.support.orthancs import ROOT
from tests.support.stack import TRUCK, started
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from pathlib import Path

    from tests.support.stack import Stack

STABLE_AGE_S = 2
#: Failure reason C122, transfer syntax not supported (PS3.18, table I.2-2), as JSON has it.
_UNTAKEN = b"49442"
_SUCCESS = 0x0000
_SENDERS = 4
#: A truck of the programme that is no longer where it should be.
STOLEN = "STOLEN"


class Attacker:
    """Runs batches of cases, and counts what they did."""

    def __init__(
        self, stack: Stack, amounts: Amounts, seed: int, parts: Collection[str]
    ) -> None:  # fmt: skip
        self.report = Report()
        self._parts = parts
        self.health = Health(stack)
        self._stack = stack
        self._amounts = amounts
        self._seed = seed
        self._entrance = web.Entrance(stack)
        self._entrance.users["stolen truck"] = (f"truck-{STOLEN}", _word(stack, "cloud_password"))
        self._entrance.users["stolen metrics"] = (
            f"metrics-{STOLEN}", _word(stack, "metrics_password"),
        )  # fmt: skip

    def close(self) -> None:
        self._entrance.close()

    def batch(self, name: str, work: Callable[[int], int], seed: int) -> None:
        """Cases that are counted as survived when everything is still there after them."""
        begun = time.monotonic()
        number = work(seed)
        again = self.health.look()
        self.report.cases += number
        self.report.survived += max(0, number - again)
        sys.stderr.write(
            f"abuse: {name}: {number} cases in {time.monotonic() - begun:.0f} s"
            f"{f', {again} parts started again' if again else ''}\n"
        )

    def run(self) -> None:
        """All of it."""
        for number in range(self._amounts.rounds):
            seed = self._seed * 1000 + number
            if "truck" in self._parts:
                self.batch("the scanner's port", self._sockets, seed)
                self.batch("images", self._images, seed)
                self.batch("deflated images", self._deflated, seed)
            if "cloud" in self._parts:
                self.batch("spellings", self._spellings, seed)
                self.batch("bodies", self._bodies, seed)
        if "truck" in self._parts:
            self._at_the_truck()
        if "cloud" in self._parts:
            self.batch("a stolen truck", self._stolen, self._seed)
            self.batch("samples", self._samples, self._seed)
            self.batch("another site's page", self._foreign, self._seed)
            self.batch("passwords", self._passwords, self._seed)

    def _at_the_truck(self) -> None:
        """What is done once, and not in each round."""
        silent = self._amounts.silent
        for drips in (False, True):
            with Nuisance(self._stack.port("door", 4242), silent, drips=drips):
                name = f"{silent} {'dripping' if drips else 'idle'} connections"
                self.batch(name, self._beside_silence, self._seed)
        if self._amounts.bombs:
            self.batch("bombs", self._bombs, self._seed)

    def _share(self, number: int) -> int:
        return max(1, number // self._amounts.rounds)

    def _sockets(self, seed: int) -> int:
        port = self._stack.port("door", 4242)
        number = self._share(self._amounts.sockets)
        for index, (first, then) in enumerate(sockets.sayings(number, seed)):
            with suppress(OSError):
                sockets.say(port, first, then, reset=index % 4 == 0)
        return number

    def _images(self, seed: int) -> int:
        return self._store(corpus.cases(self._share(self._amounts.images), seed))

    def _deflated(self, seed: int) -> int:
        """Neither side takes a deflated image: its size says nothing of the size of what is in it."""
        bomb = corpus.deflated(seed, 500 if self._amounts.bombs else 20)
        port = self._stack.port("door", 4242)
        # Alone, beside a syntax that is taken, and under the other one's number.
        proposed = {1: (corpus.CT, bomb.syntax), 3: (corpus.CT, corpus.EXPLICIT)}
        for contexts in ({1: proposed[1]}, proposed):
            status = dimse.BROKEN
            with suppress(OSError):
                association = dimse.Association("127.0.0.1", port, contexts)
                if 1 in association.accepted:
                    self._intrusion("the truck accepts deflated images")
                if 3 in contexts and 3 not in association.accepted:
                    self._intrusion("the truck refuses plain images beside deflated ones")
                with suppress(OSError):
                    status = association.store(1, corpus.CT, bomb.sop_uid, bomb.data)
                association.close()
            if status == _SUCCESS:
                self._intrusion("the truck took a deflated image")
        body, headers = web.multipart([bomb.file()])
        for user in ("truck", "stolen truck"):
            got = self._entrance.ask("POST", "/dicom-web/studies", user, body, headers)
            if (got.status, _UNTAKEN in got.body) != (409, True):
                self._intrusion(f"a deflated image was answered {got.status} by the cloud")
        return 4

    def _bombs(self, seed: int) -> int:
        return self._store(corpus.bombs(seed))

    def _store(self, cases: Iterable[corpus.Case]) -> int:
        """Several at a time: some data sets let Orthanc wait for more of them."""
        given = list(cases)
        port = self._stack.port("door", 4242)
        with ThreadPoolExecutor(_SENDERS) as threads:
            list(threads.map(lambda n: _send(port, given[n::_SENDERS]), range(_SENDERS)))
        return len(given)

    def _spellings(self, seed: int) -> int:
        number = self._share(self._amounts.requests)
        users = [u for u in self._entrance.users if u != "wrong"]  # that one is for the lock-out
        before = self._stack.cloud().instances()
        for index, (method, target, headers) in enumerate(web.spellings(number, seed)):
            user = users[index % len(users)]
            got = self._entrance.ask(method, target, user, headers=headers)
            if web.is_intrusion(got):
                self._intrusion(f"{user}: {method} {target} {headers or ''} -> {got.status}")
        self._entrance.close()
        if gone := before - self._stack.cloud().instances():
            self._intrusion(f"{len(gone)} instances left the archive")
        return number

    def _bodies(self, seed: int) -> int:
        number = self._share(self._amounts.bodies)
        path = "/dicom-web/studies"
        for body, headers in web.bad_bodies(number // 2, seed):
            self._entrance.ask("POST", path, "truck", body, headers)
        images = corpus.cases(number - number // 2, seed + 500)
        for case in images:
            body, headers = web.multipart([case.file()])
            self._entrance.ask("POST", path, "stolen truck", body, headers)
        deep = corpus.image(777)
        corpus._nested(deep, 62)
        case = corpus.Case("nested", corpus.EXPLICIT, str(deep.SOPInstanceUID),
                           corpus.encoded(deep, corpus.EXPLICIT))  # fmt: skip
        body, headers = web.multipart([case.file()])
        self._entrance.ask("POST", path, "truck", body, headers)
        return number + 1

    def _beside_silence(self, _seed: int) -> int:
        """Long enough for good studies to be sent beside it."""
        time.sleep(8.0 if self._amounts.silent >= LONG.silent else 4.0)
        return self._amounts.silent

    def _stolen(self, _seed: int) -> int:
        """Another truck's credentials: what this one has delivered is none of its business."""
        tried = 0
        # What the truck delivered has keyed UIDs; the thief stored others.
        held = sorted(set(Archive(self._stack).instances().values()))
        uids = [uid for uid in held if uid.startswith("2.25.")]
        assert uids, "nothing has been delivered: nothing is known"
        for path in ("/dicom-web/studies", "/dicom-web/instances", "/dicom-web/series"):
            got = self._entrance.ask("GET", path, "stolen truck")
            tried += 1
            if got.status == 200 and any(uid.encode() in got.body for uid in uids):
                self._intrusion(f"stolen truck: GET {path} lists another truck's studies")
        for uid in uids[:5]:
            for tail in ("", "/metadata", "/series", "/instances", "/rendered"):
                path = f"/dicom-web/studies/{uid}{tail}"
                for method in ("GET", "DELETE", "PUT"):
                    got = self._entrance.ask(method, path, "stolen truck")
                    tried += 1
                    if got.status == 200 and got.body not in {b"", b"[]"}:
                        self._intrusion(f"stolen truck: {method} {path} -> 200")
        return tried

    def _samples(self, seed: int) -> int:
        number = 0
        for _, body in web.forged_samples(self._amounts.samples, seed):
            headers = dict(remote_write.HEADERS)
            for user in ("stolen metrics", "metrics", "truck", "radiologist", "nobody"):
                self._entrance.ask("POST", "/api/v1/write", user, body, headers)
                number += 1
        for query, what in (
            ('count({truck="VICTIM"})', "a truck wrote another's series"),
            ('count(ALERTS{alertname="Forged"})', "a truck wrote an alert"),
            ("count(last_over_time(forged_future[10d] offset -10d))", "a sample of the future"),
        ):
            if self._asked(query):
                self._intrusion(what)
        # Whoever's samples are refused: this truck's own still come in.
        if not self._asked(f'count(up{{truck="{TRUCK}"}})'):
            self._intrusion("the truck's own samples are shut out")
        return number

    def _asked(self, query: str) -> str:
        """What the fleet's Prometheus answers, empty for nothing."""
        return self._stack.docker(
            "exec", self._stack.container("prometheus"), "promtool", "query", "instant",
            "http://127.0.0.1:9090", query,
        ).strip()  # fmt: skip

    def _foreign(self, _seed: int) -> int:
        """A page of another site, in the browser of a reader who has signed in (Chromium)."""
        out = self._stack.docker(
            "compose", "--project-directory", str(ROOT), "--progress", "quiet",
            "run", "--rm", "--no-TTY", "browser", "--attacked",
        )  # fmt: skip
        found = json.loads(out)
        for what in (*found["read"], *found["framed"]):
            self._intrusion(f"another site's page: {what}")
        if "sign-in" in found["own"]:
            self._intrusion("another site's page signed a reader out")
        return 29  # what it tries

    def _passwords(self, _seed: int) -> int:
        number = self._amounts.passwords
        statuses = web.sign_in_tries(self._entrance, self._stack.entrance, number)
        if opened := [status for status in statuses if status not in web.SHUT]:
            self._intrusion(f"a wrong password was answered {opened[:5]}")
        return number

    def _intrusion(self, what: str) -> None:
        self.report.intrusions.append(what)


def _send(port: int, cases: Sequence[corpus.Case]) -> None:
    contexts = {number: (corpus.CT, syntax) for syntax, number in corpus.CONTEXTS.items()}
    association: dimse.Association | None = None
    for case in cases:
        try:
            if association is None:
                association = dimse.Association("127.0.0.1", port, contexts)
            context = corpus.CONTEXTS[case.syntax]
            status = association.store(context, corpus.CT, case.sop_uid, case.data)
        except OSError:
            status = dimse.BROKEN
        if status == dimse.BROKEN and association is not None:
            association.close()
            association = None
    if association is not None:
        association.close()


def _word(stack: Stack, name: str) -> str:
    return (stack.secrets / "trucks" / STOLEN / name).read_text().strip()


def attack(folder: Path, amounts: Amounts, seed: int, parts: Collection[str] = PARTS) -> Report:
    """Attacks a stack of its own while good studies flow through it; ``parts`` of it, or all."""
    with ExitStack() as ending:
        stack = ending.enter_context(
            started(folder / "secrets", STABLE_AGE_S, None, [TRUCK, STOLEN])
        )
        port = stack.port("door", 4242)
        until(lambda: answer(port, request())[:1] == ACCEPTED, what="the door")
        quiet_period = Flow(stack, STABLE_AGE_S)
        time.sleep(amounts.calm_s)
        quiet_period.close()
        usual_s = median(
            (g.arrived or g.sent) - g.sent - STABLE_AGE_S for g in quiet_period.studies
        )
        attacker = Attacker(stack, amounts, seed, parts)
        ending.callback(attacker.close)
        memories = {name: Memory(stack.container(name)) for name in ("router", "door")}
        flow = Flow(stack, STABLE_AGE_S)
        try:
            attacker.run()
        finally:
            flow.close()
            for memory in memories.values():
                memory.close()
        report = attacker.report
        attacker.health.look()
        report.restarts = attacker.health.restarts
        report.good_studies = len(flow.studies)
        states = {one["study"]: f"{one['state']}, {one['way']}" for one in stack.studies()}
        report.lost = [f"{one}: {states.get(one, 'unknown')}" for one in flow.lost]
        report.delayed_p95_s = max(0.0, flow.way_p95_s() - usual_s)
        report.door_p95_s = flow.door_p95_s()
        report.router_peak_mib = memories["router"].peak_mib
        report.door_peak_mib = memories["door"].peak_mib
        report.leaks = Watch(stack).leaks()
        refused = [g for g in flow.studies if set(g.statuses) != {scanner.SUCCESS}]
        assert not refused, "a good study was not taken"
        return report
