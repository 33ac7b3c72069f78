"""Titles that people give, and folders' names made of them. Names of files: see `viewer.names`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

from diorama.capture.errors import InputError

MAX_TITLE = 80
MAX_SLUG = 48
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def clean_title(text: str) -> str:
    """A title as it is shown: one line, without what cannot be seen. InputError when nothing is left."""
    text = unicodedata.normalize("NFC", text.encode("utf-8", "replace").decode())
    text = " ".join("".join(ch if ch.isprintable() else " " for ch in text).split())[:MAX_TITLE].strip()
    if not text:
        raise InputError("The name is empty; give it at least one letter.")
    return text


def slug(text: str, otherwise: str) -> str:
    """Lower-case letters, digits and hyphens: a folder's name that is also part of a URL."""
    plain = unicodedata.normalize("NFKD", text.encode("utf-8", "replace").decode()).encode("ascii", "ignore").decode()
    found = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:MAX_SLUG].strip("-")
    return otherwise if not found or _RESERVED.fullmatch(found) else found


def unused(name: str, taken: Collection[str]) -> str:
    """The name, or with -2, -3, ... behind it, so that it is not one of those taken (letter case does not tell)."""
    there = {t.lower() for t in taken}
    candidate, number = name, 2
    while candidate.lower() in there:
        candidate, number = f"{name}-{number}", number + 1
    return candidate
