"""Numbers as people read them."""

from __future__ import annotations

import math

from markupsafe import Markup


def show(value: float, digits: int = 4) -> Markup:
    """Return a number with ``digits`` significant digits, ``3.1 × 10⁻⁷`` where that is shorter."""
    if not math.isfinite(value):
        return Markup("–") if math.isnan(value) else Markup("∞" if value > 0 else "−∞")
    text = to_digits(value, digits)
    if "e" not in text:
        return Markup(text.replace("-", "−"))
    mantissa, exponent = text.split("e")
    power = str(int(exponent)).replace("-", "−")
    return Markup(f"{mantissa.replace('-', '−')}&#8239;×&#8239;10<sup>{power}</sup>")


def to_digits(value: float, digits: int) -> str:
    """Return a number with ``digits`` significant digits: 1000 rather than 1e+03."""
    text = f"{value:.{digits}g}"
    readable = math.isfinite(value) and 1e-4 <= abs(value) < 1e6
    return f"{float(text):.12g}" if readable else text


def show_seconds(seconds: float) -> str:
    """Return a duration in words."""
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 90:
        return f"{seconds:.1f} s"
    if seconds < 5400:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"


def show_count(count: float) -> str:
    """Return a whole number with its thousands apart."""
    return f"{count:,.0f}".replace(",", "\u202f")
