"""What a benchmark found: a printed table, a JSON file, and its lines in results/README.md."""

import platform
from pathlib import Path
from typing import Any

import msgspec
import psutil

FOLDER = Path(__file__).parent / "results"
TABLE = FOLDER / "README.md"
_BEGIN, _END = "<!-- bars -->", "<!-- end of bars -->"
_HEAD = "| bar | measured | must reach | reached |\n|---|---|---|---|\n"


class Bar(msgspec.Struct, frozen=True):
    """One figure of 8-measures beside what it must reach."""

    name: str
    measured: str
    must: str
    reached: bool | None = None


class Report(msgspec.Struct, frozen=True):
    """A benchmark's rows (any columns, the same in each) and its bars."""

    rows: list[dict[str, Any]]
    bars: list[Bar]
    sizes: dict[str, Any] = {}


def write(name: str, report: Report) -> None:
    """Prints `report`, replaces its JSON, and writes the table of bars anew."""
    print(f"\n{name}  {_words(report.sizes)}")
    _print_table(report.rows)
    _print_table([msgspec.to_builtins(bar) for bar in report.bars])
    machine = {"cores": psutil.cpu_count(), "shared": True, "python": platform.python_version()}
    found = {"benchmark": name, "machine": machine, **msgspec.to_builtins(report)}
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.json").write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    _write_bars()


def _write_bars() -> None:
    lines = []
    for path in sorted(FOLDER.glob("*.json")):
        for bar in msgspec.json.decode(path.read_bytes())["bars"]:
            reached = {True: "yes", False: "no", None: "–"}[bar["reached"]]
            lines.append(f"| {bar['name']} | {bar['measured']} | {bar['must']} | {reached} |\n")
    text = TABLE.read_text() if TABLE.exists() else f"{_BEGIN}\n{_END}\n"
    before, rest = text.split(_BEGIN, 1)
    after = rest.split(_END, 1)[1]
    TABLE.write_text(f"{before}{_BEGIN}\n{_HEAD}{''.join(lines)}{_END}{after}")


def _print_table(rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    names = list(rows[0])
    cells = [names, *([_cell(row.get(name)) for name in names] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(names))]
    for line in cells:
        print("  " + "  ".join(text.ljust(w) for text, w in zip(line, widths, strict=True)))


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _words(sizes: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in sizes.items())
