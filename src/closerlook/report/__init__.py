"""One self-contained HTML page per run."""

from closerlook.report.build import build_report
from closerlook.report.space_page import build_space_page

__all__ = ["build_report", "build_space_page"]
