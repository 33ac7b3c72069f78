"""The report of a scan: one page for people, one JSON file for scripts."""

from .inputs import ReportInputs
from .numbers import SCHEMA, report_json
from .write import write_report

__all__ = ["SCHEMA", "ReportInputs", "report_json", "write_report"]
