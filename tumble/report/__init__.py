"""One self-contained HTML page of a result."""

from tumble.report._write_report import write_report

__all__ = ["write_report"]
