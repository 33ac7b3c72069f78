"""Failures as answers: a status and one sentence, never a trace of the inside."""

from __future__ import annotations

import errno
import html
from http import HTTPStatus

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from diorama.capture.errors import InputError

from ..jobs import ConflictError, NotFoundError
from .uploads import TooLargeError

DISK_FULL = "The disk is full; nothing finished is lost: free some space and try again."
BUG = "Diorama has a bug here; the terminal in which it runs says more. Please report that."
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="color-scheme" content="dark">
<title>Diorama</title>
<p>{}</p>
<p><a href="/">To the start</a></p>
</html>
"""
STATUS: tuple[tuple[type[InputError], int], ...] = ((NotFoundError, 404), (ConflictError, 409), (TooLargeError, 413))


def install(app: FastAPI) -> None:
    """Registers the handlers."""
    app.add_exception_handler(InputError, _input_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _bug)


def _failure(request: Request, status: int, sentence: str, headers: dict[str, str] | None = None) -> Response:
    words = " ".join(sentence.split())
    if request.headers.get("sec-fetch-dest") == "document":  # somebody followed a link: that is read by a person
        return HTMLResponse(PAGE.format(html.escape(words)), status, headers=headers)
    return JSONResponse({"error": words}, status, headers=headers)


async def _input_error(request: Request, error: Exception) -> Response:
    status = next((code for kind, code in STATUS if isinstance(error, kind)), 400)
    return _failure(request, status, str(error))


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    # Where, without "body" in front; what was sent is not repeated.
    where = ".".join(str(part) for part in first["loc"][1:])[:100] or str(first["loc"][0])
    return _failure(request, 422, f"The request cannot be used: {where}: {first['msg']}.")


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _failure(request, error.status_code, str(error.detail), dict(error.headers or {}))


async def _bug(request: Request, error: Exception) -> Response:
    """What nobody foresaw; the server's log gets the whole of it."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _failure(request, HTTPStatus.INSUFFICIENT_STORAGE, DISK_FULL)
    return _failure(request, 500, BUG)
