"""The morning's report: a page of one night, or of several, that needs nothing from elsewhere."""

from monitor.report.making import make_in_time, make_report

__all__ = ["make_in_time", "make_report"]
