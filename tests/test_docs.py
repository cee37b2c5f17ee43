"""The documentation is true: whatever a user can say to Vedette has its line, and what is shown runs."""

from __future__ import annotations

import re
import subprocess
import sys
from configparser import ConfigParser
from typing import TYPE_CHECKING

import click
import pytest

from web import cli, create_app, parameters, reference
from web.settings import SETTINGS, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def docs(root: Path) -> str:
    """All pages together: README.md and docs/."""
    pages = [root / "README.md", *sorted((root / "docs").glob("*.md"))]
    return "\n".join(page.read_text() for page in pages)


def test_the_reference_of_settings_is_the_table(root: Path) -> None:
    """docs/settings.md is what `python -m web.settings` prints."""
    assert (root / "docs" / "settings.md").read_text() == reference.page(), (
        "run python -m web.settings > docs/settings.md"
    )
    printed = subprocess.run(
        [sys.executable, "-m", "web.settings"], cwd=root, capture_output=True, text=True, timeout=60, check=True
    )
    assert printed.stdout == reference.page()


def test_every_setting_is_described(docs: str) -> None:
    """Each setting has its heading, its variable and its option."""
    for setting in SETTINGS:
        assert f"### `{setting.name}`" in docs
        assert f"`{setting.variable}`" in docs
        assert f"`{setting.option}`" in docs


def commands() -> Iterator[tuple[str, click.Command]]:
    """The command and those below it."""
    yield "vedette", cli.vedette
    for name, command in cli.vedette.commands.items():
        yield f"vedette {name}", command


def test_every_command_is_described(docs: str) -> None:
    """Each command is shown, and each of its options that is no setting has its line."""
    settings = {setting.name for setting in SETTINGS}
    for name, command in commands():
        assert name in docs
        for parameter in command.params:
            if isinstance(parameter, click.Option) and parameter.name not in settings:
                assert any(option in docs for option in parameter.opts), f"{name} {parameter.opts}"


def test_every_option_shown_exists(docs: str) -> None:
    """No page shows an option of `vedette` that it does not have."""
    known = {"--help"}
    for _, command in commands():
        for parameter in command.params:
            known |= {*parameter.opts, *parameter.secondary_opts}
    shown = re.findall(r"(?:^|`|\s)(?:\.venv/bin/)?vedette(?: [^\n`#|]*)?", docs)
    options = {option for line in shown for option in re.findall(r"--[a-z][a-z-]*", line)}
    assert options <= known


def test_every_route_is_described(root: Path) -> None:
    """Each address has its line in docs/http.md, as `/cameras/<name>/stream` is written."""
    page = (root / "docs" / "http.md").read_text()
    rules = [rule.rule for rule in create_app(Settings()).url_map.iter_rules() if rule.endpoint != "static"]
    assert rules
    missing = [rule for rule in rules if not re.search(rf"(?<![\w/>]){re.escape(rule)}(?![\w/<])", page)]
    assert not missing


def test_every_query_parameter_is_described(root: Path) -> None:
    """Each parameter of the table has its line in docs/http.md."""
    page = (root / "docs" / "http.md").read_text()
    known = {each.name: each for each in vars(parameters).values() if isinstance(each, parameters.Parameter)}
    assert known
    missing = [name for name in known if f"`{name}`" not in page]
    assert not missing


def test_every_link_leads_somewhere(root: Path) -> None:
    """A link from one page of the repository to another file of it is not dead, and no page of docs/ is left out."""
    pages = [*root.glob("*.md"), *(root / "docs").glob("*.md")]
    linked = set()
    for page in pages:
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.relative_to(root)}: {target}"
            linked.add((page.parent / target).resolve())
    index = (root / "docs" / "README.md").resolve()
    for page in (root / "docs").glob("*.md"):
        assert page.resolve() in linked | {index}, f"{page.name} is in no index"


def examples(root: Path) -> list[str]:
    """The Python examples in README.md."""
    return re.findall(r"```python\n(.*?)```", (root / "README.md").read_text(), re.DOTALL)


def test_the_examples_of_the_library_run(root: Path, tmp_path: Path) -> None:
    """Each Python example is run as it stands, with the test pattern for a camera."""
    blocks = examples(root)
    assert blocks
    for block in blocks:
        outcome = subprocess.run(
            [sys.executable, "-W", "error", "-c", block],
            cwd=tmp_path,
            env={"PYTHONPATH": str(root), "PATH": ""},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (outcome.returncode, outcome.stderr) == (0, ""), block


def numbers(version: str) -> tuple[int, ...]:
    """A version, to be compared."""
    return tuple(map(int, version.split(".")))


def test_the_changelog_names_this_version(root: Path) -> None:
    """The version that is built has its section, or is above all that have one and is being worked on."""
    from web import __version__

    sections = re.findall(r"^## \[(.+?)\]", (root / "CHANGELOG.md").read_text(), re.MULTILINE)
    released = [numbers(each) for each in sections if each != "Unreleased"]
    assert released == sorted(released, reverse=True)
    if numbers(__version__) in released:
        assert numbers(__version__) == released[0]
    else:
        assert sections[0] == "Unreleased"
        assert all(numbers(__version__) > each for each in released)


def test_contributing_names_what_exists(root: Path) -> None:
    """Each folder in the table of CONTRIBUTING.md holds something, and each path in its text is there."""
    page = (root / "CONTRIBUTING.md").read_text()
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    folders = {folder for row in rows for folder in re.findall(r"`([^`]+/)`", row)}
    assert {"camera/", "web/"} <= folders
    assert [folder for folder in folders if not any(path.is_file() for path in (root / folder).rglob("*"))] == []
    # web/templates is a place in the installed package.
    named = set(re.findall(r"`((?:camera|web|tests|docs)/[\w./-]+)`", page)) - {"web/templates"}
    assert [path for path in named if not (root / path).exists()] == []


def test_every_dependency_is_justified(root: Path) -> None:
    """Each dependency that setup.cfg names has a line in the changelog that says what it is for."""
    metadata = ConfigParser()
    metadata.read(root / "setup.cfg")
    required = re.findall(r"^[a-z][\w-]*", metadata["options"]["install_requires"], re.MULTILINE)
    assert "flask" in required
    changelog = (root / "CHANGELOG.md").read_text()
    missing = [name for name in required if f"`{name}`" not in changelog]
    assert not missing
