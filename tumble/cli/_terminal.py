"""What a person sees in the terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from tumble.report._numbers import to_digits

_MARKS = {"RIGHT": "[green]right[/]", "WRONG": "[red]wrong[/]", "UNDECIDED": "[yellow]undecided[/]"}


def make_console(*, error: bool = False) -> Any:
    """Return rich's console; lines are cut to the terminal, but never in a file or a pipe."""
    from rich.console import Console

    stream = sys.stderr if error else sys.stdout
    return Console(
        file=stream, highlight=False, soft_wrap=True, width=None if stream.isatty() else 100
    )


def note(text: str) -> None:
    """Print a line of lesser weight to standard error."""
    from rich.markup import escape

    make_console(error=True).print(f"[dim]{escape(text)}[/]")


def noting(silent: bool) -> Callable[[str], None]:
    """Return `note`, or what says nothing."""
    return _ignore if silent else note


def show_fit(
    fit: Any, title: str, audit: Any, predictive: Any, notes: list[str], report: Any
) -> None:
    """Print a fit on one screen."""
    from rich.markup import escape

    console = make_console()
    console.print(f"\n[bold]{escape(title)}[/]")
    ok = fit.result.ok
    color, mark = ("green", "✓") if ok else ("yellow", "!")
    console.print(f"[{color} bold]{mark} {fit.result.value}[/] – {escape(fit.reason)}")
    if not ok and fit.result.name != "INTERRUPTED":
        console.print(f"  [yellow]what to do:[/] {escape(fit.result.advice)}")
    console.print(f"[dim]{escape(_cost(fit))}[/]")
    console.print(_estimates_table(fit))
    lines = []
    if audit is not None:
        marks = [f"{escape(name)} {_MARKS[verdict]}" for name, verdict in audit.verdicts.items()]
        lines.append(("gradient", " · ".join(marks)))
        lines.append(("", escape(audit.words)))
    if predictive is not None:
        lines.append(("prediction", escape(predictive.verdict)))
    lines += [("[yellow]warning[/]", escape(text)) for text in [*fit.warnings, *notes]]
    lines.append(("report", escape(str(report))))
    console.print(_pairs_table(lines))


def show_structure(
    found: Any, title: str, parts: dict[str, Any], notes: list[str], report: Any
) -> None:
    """Print a learnt structure on one screen."""
    from rich.markup import escape

    console = make_console()
    console.print(f"\n[bold]{escape(title)}[/]")
    ok, best = found.result.ok, found.networks[0]
    color, mark = ("green", "✓") if ok else ("yellow", "!")
    size = f"{len(best.equations)} of {len(found.library)} candidates"
    share = f"probability {best.probability:.3f}"
    if found.alike_probability > best.probability + 5e-4:
        share += f", {found.alike_probability:.3f} with those like it"
    console.print(f"[{color} bold]{mark} {found.result.value}[/] – {size}, {share}")
    count = f"{found.num_weighed} networks weighed · {found.seconds:.1f} s"
    console.print(f"[dim]  {found.problem.num_observations} data · {count}[/]")
    console.print(_reactions_table(found))
    lines = [("conserved", escape(str(law))) for law in found.laws]
    for other in found.networks[1:4]:
        if other.probability >= 0.01:
            text = f"{other.probability:.3f}  {', '.join(other.equations)}"
            lines.append(("or", escape(text)))
    same = found.equivalent
    lines += [("alike", escape(str(one))) for one in (*same.reactions, *same.relations[:3])]
    for name, label in (("advice", "next"), ("refinement", "simulator")):
        if name in parts:
            lines.append((label, escape(parts[name].words)))
    if "predictive" in parts:
        lines.append(("prediction", escape(parts["predictive"].verdict)))
    lines += [("[yellow]warning[/]", escape(text)) for text in notes]
    lines.append(("report", escape(str(report))))
    console.print(_pairs_table(lines))


def _reactions_table(found: Any) -> Any:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    table.add_column("reaction")
    table.add_column("probability", justify="right", style="bold")
    table.add_column("rate", justify="right")
    table.add_column("95 % interval", justify="right")
    for r in found.reactions:
        inside = r.rate > 0
        if not inside and r.probability < 0.01:
            continue
        interval = f"{to_digits(r.interval[0], 3)} – {to_digits(r.interval[1], 3)}"
        table.add_row(
            escape(r.equation),
            f"{r.probability:.3f}",
            to_digits(r.rate, 4) if inside else "",
            interval if inside else "",
        )
    return table


def show_audit(audit: Any) -> None:
    """Print an audit: words, and a table."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    console = make_console()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    table.add_column("estimator")
    table.add_column("parameter")
    table.add_column("gradient", justify="right")
    table.add_column("reference", justify="right")
    table.add_column("verdict")
    for row in audit.rows:
        needed = to_digits(row.runs_needed, 1)
        some = 0 < row.runs_needed < float("inf")
        more = f" [dim](≈ {needed} runs to decide)[/]" if some else ""
        table.add_row(
            escape(row.estimator),
            escape(row.parameter),
            _with_error(row.estimate, row.standard_error),
            _with_error(row.reference, row.reference_error),
            _MARKS[row.verdict] + more,
        )
    console.print(f"\n{escape(audit.words)}")
    console.print(table)
    console.print(f"[dim]reference: {escape(audit.reference)}[/]")


def _cost(fit: Any) -> str:
    parts = [f"{fit.objective.loss_name} {fit.loss:.5g}", f"{fit.problem.num_observations} data",
             f"{len(fit.history)} steps"]  # fmt: skip
    if fit.stats.get("runs"):
        parts.append(f"{fit.stats['runs']:,.0f} simulations")
    return "  " + " · ".join([*parts, f"{fit.stats.get('seconds', 0):.1f} s"])


def _estimates_table(fit: Any) -> Any:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    table.add_column("")
    table.add_column("estimate", justify="right", style="bold")
    table.add_column("95 % interval", justify="right")
    table.add_column("", style="dim")
    for estimate in fit.estimates:
        table.add_row(escape(estimate.name), to_digits(estimate.value, 4), _interval(estimate), "")
    derived = fit.derived
    if derived:
        table.add_section()
    for estimate in derived:
        formula = escape(f"= {fit.problem.derived[estimate.name]}")
        value = to_digits(estimate.value, 4)
        table.add_row(escape(estimate.name), value, _interval(estimate), formula)
    return table


def _interval(estimate: Any) -> str:
    if estimate.at_bound:
        return "[yellow]at its bound[/]"
    low, high = estimate.interval
    return "unknown" if low != low else f"{to_digits(low, 3)} – {to_digits(high, 3)}"


def _with_error(value: float, error: float) -> str:
    if error == float("inf"):
        return "none"
    text = to_digits(value, 3)
    return f"{text} ± {to_digits(error, 1)}" if error > 0 else text


def _pairs_table(lines: list[tuple[str, str]]) -> Any:
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in lines:
        table.add_row(name, text)
    return table


def _ignore(line: str) -> None:
    pass
