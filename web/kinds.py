"""Kinds of values that a setting can have: how each is read, checked, shown and described.

A value comes as text (environment, command line) or as what TOML made of it. A kind raises `ValueError` for what it
cannot take; the caller knows where the value stood and says so. Pure functions, any thread.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_TRUE: Final = ("true", "yes", "on", "1")
_FALSE: Final = ("false", "no", "off", "0")


class Kind(Protocol[T_co]):
    """What the table of settings needs of a kind of value."""

    @property
    def metavar(self) -> str:
        """What stands for the value in `--help`."""

    @property
    def right(self) -> str:
        """What a right value is, to follow the word *must be*."""

    def from_text(self, text: str) -> T_co:
        """The value that `text` means; raises `ValueError`."""

    def from_toml(self, value: object) -> T_co:
        """The value that a TOML file's `value` means; raises `ValueError`."""

    def show(self, value: object) -> str:
        """`value` as `from_text()` would take it."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text of at least one character; control characters are refused."""

    metavar: str
    right: str
    pattern: str = ".+"
    integers: bool = False
    """A whole number without quotes in the TOML file is taken as its text: `source = 0`."""

    def from_text(self, text: str) -> str:
        """`text` itself, without space around it."""
        text = text.strip()
        if _CONTROL.search(text) or not re.fullmatch(self.pattern, text):
            raise ValueError(text)
        return text

    def from_toml(self, value: object) -> str:
        """As `from_text()`."""
        if self.integers and isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str):
            raise ValueError(value)
        return self.from_text(value)

    def show(self, value: object) -> str:
        """The text."""
        return str(value)


@dataclass(frozen=True, slots=True)
class HostNames:
    """Several names of hosts, in lower case: a list in TOML, elsewhere separated by commas or spaces."""

    metavar: str = "NAME,…"
    right: str = "a list of host names, without port"

    def from_text(self, text: str) -> tuple[str, ...]:
        """The names in `text`."""
        return self.from_toml(text.replace(",", " ").split())

    def from_toml(self, value: object) -> tuple[str, ...]:
        """The names in the list `value`."""
        if not isinstance(value, list):
            raise ValueError(value)
        one = Text(self.metavar, self.right, r"[A-Za-z0-9._-]+")
        return tuple(one.from_toml(each).lower().removesuffix(".") for each in value)

    def show(self, value: object) -> str:
        """The names with commas between them."""
        return ",".join(value) if isinstance(value, tuple) else str(value)


@dataclass(frozen=True)  # Python 3.11 cannot make Choice[Rotation](…) of a frozen class with slots
class Choice(Generic[T]):
    """One of a few values."""

    choices: tuple[T, ...]

    @property
    def metavar(self) -> str:
        """The choices: `off|warm|on`."""
        return "|".join(str(choice) for choice in self.choices)

    @property
    def right(self) -> str:
        """The choices, in a sentence, as they are written in a TOML file."""
        return f"one of {', '.join(_as_toml(choice) for choice in self.choices)}"

    def from_text(self, text: str) -> T:
        """The choice that is written like `text`."""
        for choice in self.choices:
            if str(choice) == text.strip().lower():
                return choice
        raise ValueError(text)

    def from_toml(self, value: object) -> T:
        """The choice that equals `value`."""
        for choice in self.choices:
            # A bool equals 0 or 1, and 90.0 equals 90: neither is what was meant.
            if choice == value and isinstance(value, str) == isinstance(choice, str) and type(value) in (int, str):
                return choice
        raise ValueError(value)

    def show(self, value: object) -> str:
        """The choice."""
        return str(value)


@dataclass(frozen=True, slots=True)
class Integer:
    """A whole number within limits."""

    minimum: int
    maximum: int
    metavar: str = "N"

    @property
    def right(self) -> str:
        """The limits, in a sentence."""
        return f"a whole number from {self.minimum} to {self.maximum}"

    def from_text(self, text: str) -> int:
        """The number; decimal digits only."""
        if not re.fullmatch(r"[+-]?[0-9]{1,9}", text.strip()):
            raise ValueError(text)
        return self.from_toml(int(text))

    def from_toml(self, value: object) -> int:
        """The number."""
        if not isinstance(value, int) or isinstance(value, bool) or not self.minimum <= value <= self.maximum:
            raise ValueError(value)
        return value

    def show(self, value: object) -> str:
        """The number."""
        return str(value)


@dataclass(frozen=True, slots=True)
class Number:
    """A number within limits, with or without a fraction."""

    minimum: float
    maximum: float
    unit: str = ""
    metavar: str = "N"

    @property
    def right(self) -> str:
        """The limits, in a sentence."""
        limits = f"from {self.minimum:g} to {self.maximum:g}"
        return f"a number of {self.unit} {limits}" if self.unit else f"a number {limits}"

    def from_text(self, text: str) -> float:
        """The number, in plain decimal notation."""
        if not re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)", text.strip()):
            raise ValueError(text)
        return self.from_toml(float(text))

    def from_toml(self, value: object) -> float:
        """The number."""
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise ValueError(value)
        # The comparison comes first: math.isfinite() cannot take the largest whole numbers that TOML can hold.
        if not self.minimum <= value <= self.maximum or not math.isfinite(value):
            raise ValueError(value)
        return float(value)

    def show(self, value: object) -> str:
        """The number, without a fraction that is zero."""
        return f"{value:g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True, slots=True)
class OrAuto(Generic[T]):
    """A value of another kind, or `auto`: None, which leaves the choice to whoever is asked."""

    kind: Kind[T]

    @property
    def metavar(self) -> str:
        """That of the other kind."""
        return self.kind.metavar

    @property
    def right(self) -> str:
        """Both."""
        return f'"auto" or {self.kind.right}'

    def from_text(self, text: str) -> T | None:
        """The value, or None."""
        return None if text.strip().lower() == "auto" else self.kind.from_text(text)

    def from_toml(self, value: object) -> T | None:
        """The value, or None."""
        return None if value == "auto" else self.kind.from_toml(value)

    def show(self, value: object) -> str:
        """The value, or `auto`."""
        return "auto" if value is None else self.kind.show(value)


@dataclass(frozen=True, slots=True)
class Flag:
    """Yes or no."""

    metavar: str = "true|false"
    right: str = "true or false"

    def from_text(self, text: str) -> bool:
        """True for true, yes, on and 1."""
        text = text.strip().lower()
        if text not in _TRUE + _FALSE:
            raise ValueError(text)
        return text in _TRUE

    def from_toml(self, value: object) -> bool:
        """The truth value; a text is none."""
        if not isinstance(value, bool):
            raise ValueError(value)
        return value

    def show(self, value: object) -> str:
        """`true` or `false`."""
        return "true" if value else "false"


@dataclass(frozen=True, slots=True)
class Size:
    """The size of a picture, `1280x720`, as (width, height) in pixels; None for `auto`."""

    minimum: int = 16
    maximum: int = 16384
    metavar: str = "WxH"

    @property
    def right(self) -> str:
        """An example and the limits."""
        return f'"auto" or a width and a height like "1280x720", each from {self.minimum} to {self.maximum} pixels'

    def from_text(self, text: str) -> tuple[int, int] | None:
        """The size."""
        text = text.strip().lower()
        if text == "auto":
            return None
        match = re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5})", text)
        if not match:
            raise ValueError(text)
        width, height = int(match[1]), int(match[2])
        if not (self.minimum <= width <= self.maximum and self.minimum <= height <= self.maximum):
            raise ValueError(text)
        return width, height

    def from_toml(self, value: object) -> tuple[int, int] | None:
        """The size, written as a text."""
        if not isinstance(value, str):
            raise ValueError(value)
        return self.from_text(value)

    def show(self, value: object) -> str:
        """The size as it is written."""
        return f"{value[0]}x{value[1]}" if isinstance(value, tuple) else "auto"


def _as_toml(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)
