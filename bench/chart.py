# SPDX-License-Identifier: BSD-2-Clause
"""Draws the comparison as SVG: for each workload a bar for each contestant, as a multiple of rawfwd."""
import html
import math

COLOURS = ("#1f6feb", "#8c959f", "#2da44e", "#bf8700", "#cf222e", "#8250df", "#bc4c00", "#57606a")
WIDTH = 860
LEFT = 300  # room for the names of workloads
RIGHT = 70  # room for the figures behind the bars
BAR = 11
GAP = 10
TOP = 64
LOWEST = 0.25


def place(ratio, highest):
    """Where a ratio lies on the logarithmic axis."""
    share = math.log(max(ratio, LOWEST) / LOWEST) / math.log(highest / LOWEST)
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def text(x, y, words, anchor="start", size=12, weight="normal"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" '
            f'font-weight="{weight}">{html.escape(words)}</text>')


def legend(names):
    parts = []
    x = 10
    for index, name in enumerate(names):
        colour = COLOURS[index % len(COLOURS)]
        parts.append(f'<rect x="{x}" y="26" width="11" height="11" fill="{colour}"/>')
        parts.append(text(x + 15, 36, name))
        x += 27 + 7 * len(name)
    return parts


def axis(highest, bottom):
    parts = []
    tick = LOWEST
    while tick <= highest:
        x = place(tick, highest)
        bold = tick == 1
        parts.append(f'<line x1="{x:.1f}" y1="{TOP - 6}" x2="{x:.1f}" y2="{bottom}" '
                     f'stroke="#8c959f" stroke-width="{1.6 if bold else 0.4}"/>')
        parts.append(text(x, TOP - 10, f"{tick:g}×", "middle", 10))
        tick *= 2 if tick < 2 else 4
    return parts


def group(title, bars, names, y, highest):
    parts = [text(LEFT - 10, y + len(bars) * BAR / 2 + 4, title, "end")]
    for name, ratio in bars:
        colour = COLOURS[names.index(name) % len(COLOURS)]
        start = place(LOWEST, highest)
        end = place(ratio, highest)
        parts.append(f'<rect x="{start:.1f}" y="{y}" width="{max(end - start, 1):.1f}" '
                     f'height="{BAR - 1}" fill="{colour}"><title>{html.escape(name)}: '
                     f'{ratio:.2f}</title></rect>')
        parts.append(text(end + 4, y + BAR - 2, f"{ratio:.2f}", size=9))
        y += BAR
    return parts


def draw(groups, names):
    """`groups`: (title, [(name, ratio)]). Returns the SVG."""
    ratios = [ratio for _, bars in groups for _, ratio in bars] or [1]
    highest = max(4, max(ratios) * 1.1)
    height = TOP + sum(len(bars) * BAR + GAP for _, bars in groups) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" font-family="sans-serif" fill="#24292f">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        text(10, 16, "CPU of the bridge as a multiple of a plain TCP forwarder (rawfwd = 1; "
             "logarithmic)", weight="bold")]
    parts += legend(names) + axis(highest, height - 10)
    y = TOP
    for title, bars in groups:
        parts += group(title, bars, names, y, highest)
        y += len(bars) * BAR + GAP
    return "\n".join(parts) + "\n</svg>\n"
