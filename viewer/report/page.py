"""The page."""

from __future__ import annotations

import html

from .inputs import ReportInputs


def render_page(inputs: ReportInputs) -> str:
    sentences = "".join(f"<li>{html.escape(s)}</li>" for s in inputs.verdict.sentences)
    return f"<!doctype html><meta charset=utf-8><title>Scan report</title><ul>{sentences}</ul>"
