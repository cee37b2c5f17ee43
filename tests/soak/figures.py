"""What the soaks found: tables of figures, and whether each is within its bound."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Figures:
    """The figures of one soak."""

    title: str
    rows: list[tuple[str, str, str, bool | None]] = field(default_factory=list)
    """What, how much, bound, and whether it holds; None where nothing is asked."""

    def note(self, what: str, value: object) -> None:
        """A figure that is only told."""
        self.rows.append((what, _shown(value), "", None))

    def hold(self, what: str, value: object, bound: str, *, holds: bool) -> None:
        """A figure that must be within `bound`."""
        self.rows.append((what, _shown(value), bound, holds))

    def at_most(self, what: str, value: float, bound: float, unit: str = "") -> None:
        """A number with a greatest value."""
        self.rows.append((what, f"{_shown(value)}{unit}", f"at most {_shown(bound)}{unit}", value <= bound))

    @property
    def failed(self) -> bool:
        """Whether something is out of its bound."""
        return any(holds is False for *_, holds in self.rows)

    def __str__(self) -> str:
        """A table in Markdown."""
        lines = [f"### {self.title}", "", "| what | figure | bound | |", "| --- | --- | --- | --- |"]
        for what, value, bound, holds in self.rows:
            verdict = {None: "", True: "holds", False: "**FAILED**"}[holds]
            lines.append(f"| {what} | {value} | {bound} | {verdict} |")
        return "\n".join(lines)


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2f}"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value).replace("|", "\\|").replace("\n", " ") or "none"


def curve(values: list[int], points: int = 12) -> str:
    """A series of KiB in MiB, thinned out to some points."""
    step = max(1, len(values) // points)
    return " ".join(f"{value / 1024:.1f}" for value in values[::step])
