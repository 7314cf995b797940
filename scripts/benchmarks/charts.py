"""Charts as SVG text: horizontal bars, and lines over a number. No library, no fonts, readable on light and dark."""

from html import escape
from math import floor, log10

COLOURS = {
    "rjabberd": "#c2410c",
    "R1": "#64748b",
    "R2": "#94a3b8",
    "R3": "#cbd5e1",
    "ejabberd": "#2563eb",
    "Prosody": "#7c3aed",
}
WIDTH = 760
TEXT = 'font-family="sans-serif" font-size="13" fill="#1f2937"'
LINE = "#d1d5db"


def bars(title, unit, groups):
    """`groups` is a list of (label, [(name, value)]); a value of None is left out. One scale for all."""
    groups = [(label, [(name, value) for name, value in rows if value is not None]) for label, rows in groups]
    highest = max((value for _, rows in groups for _, value in rows), default=0) or 1
    left, right, row, y = 110, 90, 20, 44
    drawn = []
    for label, rows in groups:
        if not rows:
            continue
        drawn.append(text(12, y + 14, label, weight="bold"))
        y += 22
        for name, value in rows:
            length = max(1, (WIDTH - left - right) * value / highest)
            colour = COLOURS.get(name, "#111827")
            drawn.append(text(left - 8, y + 14, name, anchor="end"))
            drawn.append(f'<rect x="{left}" y="{y + 3}" width="{length:.1f}" height="{row - 5}" fill="{colour}"/>')
            drawn.append(text(left + length + 6, y + 14, number(value)))
            y += row
        y += 8
    return document(y + 8, f"{title}, {unit}", drawn)


def lines(title, unit, over, series):
    """`series` is a list of (name, [(x, value)]); the value axis is logarithmic, for servers lie far apart."""
    series = [(name, [point for point in points if point[1]]) for name, points in series]
    series = [(name, points) for name, points in series if points]
    values = [value for _, points in series for _, value in points] or [1]
    xs = sorted({x for _, points in series for x, _ in points}) or [0]
    low, high = power_below(min(values)), power_below(max(values)) * 10
    left, right, top, height = 60, 110, 50, 320

    def place(x, value):
        across = (x - xs[0]) / max(1, xs[-1] - xs[0])
        up = log10(value / low) / log10(high / low)
        return left + across * (WIDTH - left - right), top + (1 - up) * height

    drawn = []
    tick = low
    while tick <= high * 1.001:
        for step in (1, 2, 5):
            if tick * step <= high * 1.001:
                y = place(xs[0], tick * step)[1]
                drawn.append(f'<path d="M{left} {y:.1f}H{WIDTH - right}" stroke="{LINE}"/>')
                drawn.append(text(left - 8, y + 4, f"{tick * step:,g}", anchor="end"))
        tick *= 10
    for x in xs:
        drawn.append(text(place(x, low)[0], top + height + 20, f"{x:,}", anchor="middle"))
    drawn.append(text((left + WIDTH - right) / 2, top + height + 42, over, anchor="middle"))
    labels = []
    for name, points in series:
        colour = COLOURS.get(name, "#111827")
        placed = [place(x, value) for x, value in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        drawn.extend(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in placed)
        labels.append((placed[-1][1], name, points[-1][1]))
    below = 0
    for y, name, value in sorted(labels):
        below = max(y, below + 15)
        drawn.append(text(WIDTH - right + 8, below + 4, f"{name} {number(value)}"))
    return document(top + height + 56, f"{title}, {unit}", drawn)


def document(height, title, drawn):
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" height="{height:.0f}">'
    back = f'<rect width="{WIDTH}" height="{height:.0f}" fill="#ffffff"/>'
    return "\n".join([head, back, text(12, 24, title, weight="bold", size=15), *drawn, "</svg>", ""])


def text(x, y, what, anchor="start", weight="normal", size=13):
    style = TEXT.replace('"13"', f'"{size}"')
    return f'<text x="{x:.1f}" y="{y:.1f}" {style} text-anchor="{anchor}" font-weight="{weight}">{escape(what)}</text>'


def number(value):
    """Three digits that say something."""
    if value >= 100:
        return f"{value:,.0f}"
    if value >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}".rstrip("0").rstrip(".") if value else "0"


def power_below(value):
    return 10 ** floor(log10(value))
