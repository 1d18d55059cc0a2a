"""What `pip install .` installs is the whole router, and nothing of it lies elsewhere."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent.parent
#: Imports every module of both packages, and reads every table that they ship.
_EVERY_MODULE = """
import importlib, pkgutil, sys
import fleet_qc, router
for package in (router, fleet_qc):
    assert package.__file__.startswith(sys.prefix), package.__file__
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
        print(module.name)
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that holds the wheel, and of its own nothing else."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    # A copy: setuptools writes beside what it builds, and reads what an earlier build left there.
    leave_out = shutil.ignore_patterns("__pycache__")
    for package in ("router", "monitoring/fleet_qc"):
        shutil.copytree(ROOT / package, source / package, ignore=leave_out)
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source / file)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation",
         "--no-index", "--disable-pip-version-check", "--wheel-dir", folder, source],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    (wheel,) = folder.glob("edge_router-*.whl")
    empty = folder / "empty"
    venv.create(empty, with_pip=False)
    python = empty / "bin" / "python"
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps",
         "--no-index", "--disable-pip-version-check", wheel],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    # Its dependencies are this environment's; ours is not installed there.
    (site,) = empty.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def test_every_module_can_be_imported_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [installed, "-I", "-c", _EVERY_MODULE],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    here = {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        for root, package in ((ROOT, "router"), (ROOT / "monitoring", "fleet_qc"))
        for path in (root / package).rglob("*.py")
    }
    assert set(done.stdout.split()) | {"router", "fleet_qc"} == here


def test_every_table_is_in_the_wheel(installed: Path) -> None:
    (site,) = installed.parent.parent.glob("lib/python*/site-packages")
    tables = {
        path.relative_to(ROOT)
        for pattern in ("*.csv", "*.toml", "*.txt")
        for path in (ROOT / "router").rglob(pattern)
    }
    assert tables
    assert not [path for path in tables if not (site / path).is_file()]


def test_the_command_starts(installed: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [installed.parent / "edge-router", "--help"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "check-config" in done.stdout
