"""Who may import whom: `web` imports `camera`, never the other way round, and the command starts light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

FORBIDDEN_IN_CAMERA = {"web", "flask", "gevent", "gunicorn", "werkzeug", "jinja2", "click"}
HEAVY = {"cv2", "numpy", "flask", "gevent", "gunicorn", "werkzeug", "jinja2", "linuxpy"}


def imported(path: Path) -> Iterator[tuple[str, int]]:
    """The top-level packages that a file imports anywhere, also inside functions, with their lines."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name.split(".")[0], node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").split(".")[0], node.lineno
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            names = [each.value for each in node.args if isinstance(each, ast.Constant)]
            yield from ((name.split(".")[0], node.lineno) for name in names if isinstance(name, str))


def test_camera_knows_nothing_of_the_web(root: Path) -> None:
    """No file of `camera` imports the web part or what it is built on: it is a library of its own."""
    files = sorted((root / "camera").rglob("*.py"))
    assert files
    wrong = [
        f"{path.relative_to(root)}:{line}: {name}"
        for path in files
        for name, line in imported(path)
        if name in FORBIDDEN_IN_CAMERA
    ]
    assert not wrong


def test_nothing_imports_relatively_or_from_the_tests(root: Path) -> None:
    """One way to write an import, and no product code that needs the tests."""
    wrong = []
    for path in sorted([*(root / "camera").rglob("*.py"), *(root / "web").rglob("*.py")]):
        wrong += [f"{path.relative_to(root)}:{line}: {name}" for name, line in imported(path) if name == "tests"]
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level:
                wrong.append(f"{path.relative_to(root)}:{node.lineno}: relative import")
    assert not wrong


def test_the_command_starts_without_anything_heavy(root: Path) -> None:
    """`vedette --help` and `vedette config` do not wait for OpenCV, NumPy, Flask or gevent."""
    program = (
        "import sys\n"
        "from web.cli import run\n"
        "assert run(['--help']) == 0\n"
        "assert run(['config']) == 0\n"
        "print(*{name.split('.')[0] for name in sys.modules}, file=sys.stderr)\n"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, timeout=60, check=True
    )
    assert not HEAVY & set(outcome.stderr.split())


def test_the_library_needs_no_part_of_the_web(root: Path) -> None:
    """A frame is taken from a camera without Flask, gevent or click being imported."""
    program = (
        "import sys\n"
        "from camera import Camera\n"
        "with Camera('pattern') as camera:\n"
        "    assert camera.wait_frame().jpeg\n"
        "print(*{name.split('.')[0] for name in sys.modules})\n"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, timeout=60, check=True
    )
    assert not FORBIDDEN_IN_CAMERA & set(outcome.stdout.split())
