"""Uploads that go on where they broke off: create with a size, ask for the offset, send from there."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from ..jobs import ConflictError
from ..scene_site import BINARY
from .services import Id, Studio
from .uploads import MAX_UPLOAD_BYTES, TooLargeError, Upload

router = APIRouter(prefix="/api/uploads", tags=["uploads"])


class NewUpload(BaseModel):
    """sha256: the whole file's, in hexadecimal; when given, it is compared at the end."""

    model_config = ConfigDict(extra="ignore")
    name: Annotated[str, Field(min_length=1, max_length=4096)]
    size: Annotated[int, Field(ge=1, le=MAX_UPLOAD_BYTES, strict=True)]
    sha256: Annotated[str | None, Field(pattern=r"^[0-9a-f]{64}$")] = None


@router.get("")
def uploads(studio: Studio) -> list[Upload]:
    """Uploads that are no capture yet, the oldest first."""
    return studio.uploads.all()


@router.post("", status_code=201, response_model=Upload)
async def new_upload(studio: Studio, body: NewUpload) -> Response:
    """A new upload of exactly `size` bytes."""
    return _told(studio.uploads.create(body.name, body.size, body.sha256), 201)


@router.head("/{upload}", include_in_schema=False)
@router.get("/{upload}", response_model=Upload)
async def upload(studio: Studio, upload: Id) -> Response:
    """How much of it has arrived, also in the header `Upload-Offset`."""
    return _told(studio.uploads.get(upload))


@router.patch(
    "/{upload}",
    response_model=Upload,
    openapi_extra={
        "requestBody": {
            "content": {BINARY: {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def write(
    request: Request,
    studio: Studio,
    upload: Id,
    offset: Annotated[int, Header(alias="Upload-Offset", ge=0, le=MAX_UPLOAD_BYTES)],
) -> Response:
    """The bytes from `Upload-Offset` on, as many as the connection likes; what arrived is kept when it breaks off."""
    now = studio.uploads.get(upload)
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length[:19]) > now.size - offset:
        raise TooLargeError(f"More is announced than the {now.size} bytes of this upload.")
    try:
        return _told(await studio.uploads.write(upload, offset, request.stream()))
    except ClientDisconnect:
        return Response(status_code=499)  # nobody reads it
    except ConflictError as error:
        return _told(studio.uploads.get(upload), 409, error=str(error))


@router.delete("/{upload}", status_code=204, response_class=Response)
async def delete(studio: Studio, upload: Id) -> Response:
    """Gives it up."""
    studio.uploads.delete(upload)
    return Response(status_code=204)


def _told(upload: Upload, status: int = 200, error: str | None = None) -> Response:
    headers = {"Upload-Offset": str(upload.offset), "Upload-Length": str(upload.size)}
    facts = {**vars(upload), **({"error": error} if error else {})}
    return JSONResponse(facts, status, headers=headers)
