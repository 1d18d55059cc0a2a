"""What /health/live answers of the router's loops."""

from __future__ import annotations

from functools import partial

import pytest
import requests
from prometheus_client import CollectorRegistry

from router.loops import Loop, all_alive
from router.observe.http import Api


def _dies() -> float:
    raise GeneratorExit("nothing catches it")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_loop_that_died_makes_the_router_unwell() -> None:
    well, ill = Loop("well", lambda: 600.0), Loop("ill", _dies)
    alive = [well]
    api = Api("127.0.0.1", 0, CollectorRegistry(), partial(all_alive, alive), dict, dict)
    try:
        well.start()
        assert requests.get(f"http://127.0.0.1:{api.port}/health/live", timeout=10).ok
        ill.start()
        assert ill.join(10)
        alive.append(ill)
        answer = requests.get(f"http://127.0.0.1:{api.port}/health/live", timeout=10)
        assert (answer.status_code, answer.json()) == (503, {"live": False})
    finally:
        api.close()
        well.stop()
        assert well.join()
