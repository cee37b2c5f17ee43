"""What is built can be installed somewhere else, and runs there without the repository."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

DEADLINE = 600
"""Seconds for one step; on a slow machine that fetches its wheels it takes minutes."""


def run(*command: str | Path, cwd: Path) -> str:
    """Run a step; its output. A step that fails fails the test with what it said."""
    outcome = subprocess.run(
        command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=DEADLINE, check=False
    )
    assert outcome.returncode == 0, f"{command}\n{outcome.stdout}"
    return outcome.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from what git tracks and from nothing that happens to lie about."""
    root = Path(__file__).resolve().parent.parent
    clone = tmp_path_factory.mktemp("clone") / "vedette"
    tracked = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=root).split("\0")
    for name in filter(None, tracked):
        if (root / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            (clone / name).write_bytes((root / name).read_bytes())
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", "dist", ".", cwd=clone)
    [built] = (clone / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of an empty venv in which the wheel was installed, with the dependencies that it names."""
    venv = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", venv, cwd=venv)
    run(venv / "bin" / "python", "-m", "pip", "install", "--quiet", wheel, cwd=venv)
    run(venv / "bin" / "python", "-m", "pip", "check", cwd=venv)
    return venv / "bin"


def test_the_wheel_holds_pages_and_static_files(wheel: Path, root: Path) -> None:
    """Every template and static file of the repository is in the wheel, and no test."""
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder, place in (("templates", "web/templates"), ("web/static", "web/static")):
        files = [path for path in (root / folder).rglob("*") if path.is_file()]
        assert files
        for path in files:
            assert f"{place}/{path.relative_to(root / folder)}" in names
    for path in [*(root / "camera").rglob("*.py"), *(root / "web").rglob("*.py")]:
        assert str(path.relative_to(root)) in names
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"camera", "web"}


@pytest.fixture
def address(installed: Path, tmp_path: Path) -> Iterator[str]:
    """The address that the installed command prints when it serves."""
    # An empty environment but for PATH: nothing of the repository may help.
    with subprocess.Popen(
        [installed / "vedette", "--source", "pattern", "--port", "0"],
        cwd=tmp_path,
        env={"PATH": os.defpath, "HOME": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if found := re.search(r"http://localhost:\d+/", line):
                yield found[0]
                break
        else:
            pytest.fail(f"the installed command did not start:\n{''.join(said)}")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=DEADLINE)


def test_the_installed_command_serves_the_page(address: str) -> None:
    """Installed from the wheel in an empty venv, `vedette` shows the page, its static files and a picture."""
    page = urllib.request.urlopen(address, timeout=DEADLINE).read().decode()
    assert "<html" in page
    files = re.findall(r'(?:src|href)="(/static/[^"]+)"', page)
    assert files
    for file in files:
        assert urllib.request.urlopen(address.rstrip("/") + file, timeout=DEADLINE).read()
    with urllib.request.urlopen(f"{address}snapshot", timeout=DEADLINE) as answer:
        assert answer.read(2) == b"\xff\xd8"


def test_the_installed_metadata_names_what_is_needed(installed: Path) -> None:
    """The licence and the dependencies are in the metadata: a new one is a decision, with its line in the changelog."""
    shown = run(installed / "python", "-m", "pip", "show", "vedette", cwd=installed)
    assert "License: MIT" in shown
    required = {name.lower() for name in re.findall(r"[\w-]+", re.findall(r"Requires: (.*)", shown)[0])}
    assert required == {"click", "flask", "gevent", "gunicorn", "linuxpy", "numpy", "opencv-python-headless"}
