"""Where the pages and the static files lie: in a checkout and where Vedette is installed. Constants only."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_HERE: Final = Path(__file__).resolve().parent

# setup.cfg installs the repository's templates/ as web/templates; in a checkout it lies beside web/.
TEMPLATES: Final = next(folder for folder in (_HERE / "templates", _HERE.parent / "templates") if folder.is_dir())
STATIC: Final = _HERE / "static"
