"""What tests of every room need."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.serving import Vedette

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the settings of whoever runs the tests out of them."""
    for name in [name for name in os.environ if name.startswith("VEDETTE_")]:
        monkeypatch.delenv(name)


Serve = Callable[..., Vedette]
"""`serve("--source", "pattern")`: the server with these arguments, running; ended after the test."""


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start real servers for one test."""
    with ExitStack() as stack:

        def start(*arguments: str, config: str = "") -> Vedette:
            if config:
                file = tmp_path / "vedette.toml"
                file.write_text(config)
                arguments = ("--config", str(file), *arguments)
            return stack.enter_context(Vedette(tmp_path / "vedette.log", *arguments))

        yield start


@pytest.fixture(scope="module")
def pattern_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vedette]:
    """One server with the test pattern, shared by the tests of a module that leave nothing behind in it."""
    log = tmp_path_factory.mktemp("vedette") / "vedette.log"
    with Vedette(log, "--source", "pattern", "--size", "640x360") as vedette:
        yield vedette
