"""What a person sees in the terminal."""

from __future__ import annotations

import sys
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
