"""The report of a job: records in; one HTML page, one Markdown summary and one JSON document out. No Prefect, no
storage, no clock."""

from flows.report.document import summary_document
from flows.report.grid import render_grid
from flows.report.html import render_html
from flows.report.markdown import escape_markdown, failure_table, inert_text, summary_markdown, video_table
from flows.report.model import STATES, JobReport, State, VideoReport

__all__ = [
    "STATES",
    "JobReport",
    "State",
    "VideoReport",
    "escape_markdown",
    "failure_table",
    "inert_text",
    "render_grid",
    "render_html",
    "summary_document",
    "summary_markdown",
    "video_table",
]
