"""`kind_of()`: what there is at a path, or why it cannot be read. Any thread; asks the file system."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final, Literal

from camera.errors import SourceDenied, SourceMissing, SourceUnusable

if TYPE_CHECKING:
    from pathlib import Path

RETRY_EVERY: Final = 2.0
"""Seconds between two looks for a path that was lost."""


def kind_of(path: Path) -> Literal["file", "folder"]:
    """`folder` or `file`. Raises the `SourceError` that says why it cannot be read."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            os.scandir(path).close()
            return "folder"
        if stat.S_ISREG(mode):
            path.open("rb").close()
            return "file"
    except (FileNotFoundError, NotADirectoryError):
        raise SourceMissing(f"{path} does not exist: check the path") from None
    except PermissionError:
        raise SourceDenied(f"{path} may not be read by this user: change its permissions (chmod, chown)") from None
    except OSError as error:
        raise SourceUnusable(f"{path} cannot be read: {error.strerror}") from None
    raise SourceUnusable(f"{path} is neither a file nor a folder")
