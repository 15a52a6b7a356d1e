"""The chart of the README: how long the contenders take, drawn by hand, so that no plotting library is needed."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

SHOWN = ((5000, 0), (1000, 100))
WIDTH, ROW, BAR_FROM, BAR_UNTIL = 860, 30, 250, 740
CUT_ABOVE = 1.5
"""A bar this many times longer than the second longest is cut off, and says so."""

FONTS = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"
CAPTION = "Ours and the earlier one keep every step in PostgreSQL; the others have no database, and write nothing down."
STYLE = """
    .page { fill: #ffffff } .ours { fill: #3f73b0 } .other { fill: #b3bcc6 } .cut { fill: #ffffff }
    text { fill: #1b222a } .soft { fill: #55606c; font-size: 12px } .title { font-weight: 600 }
    @media (prefers-color-scheme: dark) {
      .page, .cut { fill: #10151b } .ours { fill: #6a9ad4 } .other { fill: #4a5663 }
      text { fill: #e8edf2 } .soft { fill: #a3afbb }
    }"""


def draw(rows: Sequence[Mapping[str, Any]]) -> str:
    """An SVG with one group of bars for each case shown; shorter is better."""
    parts: list[str] = []
    top = 20
    for contacts, latency_ms in SHOWN:
        of_case = [row for row in rows if (row["contacts"], row["latency_ms"]) == (contacts, latency_ms)]
        if of_case:
            top = _group(parts, of_case, f"{contacts:,} contacts, Brevo answers {_after(latency_ms)}", top)
    parts.append(f'<text class="soft" x="20" y="{top + 6}">{CAPTION}</text>')
    height = top + 22
    inner = "\n  ".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
        f' role="img" font-family="{FONTS}" font-size="14">\n'
        "  <title>Seconds to deliver, by contender; shorter is better</title>\n"
        f"  <style>{STYLE}\n  </style>\n"
        f'  <rect class="page" width="{WIDTH}" height="{height}" rx="10"/>\n  {inner}\n</svg>\n'
    )


def _after(latency_ms: int) -> str:
    return f"after {latency_ms} ms" if latency_ms else "at once"


def _group(parts: list[str], rows: Sequence[Mapping[str, Any]], title: str, top: int) -> int:
    longest, second = sorted((float(row["seconds"]) for row in rows), reverse=True)[:2]
    full = second if longest > CUT_ABOVE * second else longest
    parts.append(f'<text class="title" x="20" y="{top + 12}">{escape(title)}: seconds</text>')
    top += 26
    for row in rows:
        seconds = float(row["seconds"])
        is_cut = seconds > full
        width = max(2, round((BAR_UNTIL - BAR_FROM) * min(1, seconds / full)))
        kind = "ours" if row["letter"] == "a" else "other"
        says = f"{'≈ ' if row['contacts_measured'] < row['contacts'] else ''}{_seconds(seconds)}"
        parts.append(f'<text x="20" y="{top + 16}">{escape(row["title"])}</text>')
        parts.append(f'<rect class="{kind}" x="{BAR_FROM}" y="{top + 3}" width="{width}" height="18" rx="3"/>')
        if is_cut:
            parts.append(
                f'<path class="cut" d="M{BAR_UNTIL - 40} {top} l8 0 l-8 24 l-8 0 z"/>'
                f'<path class="cut" d="M{BAR_UNTIL - 25} {top} l8 0 l-8 24 l-8 0 z"/>'
            )
        parts.append(f'<text x="{BAR_FROM + width + 8}" y="{top + 17}">{says}</text>')
        top += ROW - 4
    return top + 14


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f}" if seconds < 100 else f"{seconds:.0f}"
