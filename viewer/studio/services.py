"""What the routes work with, and the forms in which they tell of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated
from urllib.parse import quote

from fastapi import Depends
from fastapi import Path as InPath
from starlette.requests import HTTPConnection

from ..jobs import CaptureInfo, Comparison, Jobs, Library
from ..scene_site import PageFiles
from .events import EventHub
from .invitations import Invitations
from .relays import LiveRelays
from .scenes import SceneSites
from .uploads import UploadStore


@dataclass(frozen=True)
class Services:
    """One studio's parts, made once by `create_studio_app`."""

    library: Library
    jobs: Jobs
    uploads: UploadStore
    events: EventHub
    scenes: SceneSites
    page: PageFiles
    invitations: Invitations
    live: LiveRelays
    inspects: bool = False


def _services(connection: HTTPConnection) -> Services:
    services: Services = connection.app.state.services
    return services


Studio = Annotated[Services, Depends(_services)]
Id = Annotated[str, InPath(min_length=1, max_length=200, pattern=r"^[^/\\\x00-\x1f\x7f]+$")]
"""An id in a path. What there is under it is looked up; it is bounded here so that nothing odd gets further."""
Name = Annotated[str, InPath(min_length=1, max_length=500, pattern=r"^[^\\\x00-\x1f\x7f]+$")]


@dataclass(frozen=True)
class Failure:
    """Every answer that is not what was asked for: one sentence for people."""

    error: str


@dataclass(frozen=True)
class CaptureView:
    """A capture as the page sees it: `CaptureInfo`, with the addresses of what there is; null where there is none."""

    id: str
    title: str
    state: str
    created: float
    changed: float
    run_of: str
    settings: str
    footage: tuple[str, ...]
    job: str | None
    error: str | None
    bytes: int | None
    pictures: int | None
    splats: int | None
    psnr_db: float | None
    is_metric: bool | None
    verdict: str | None
    has_mesh: bool
    deleted: float | None
    scene: str | None
    report: str | None
    thumbnail: str | None

    @staticmethod
    def of(info: CaptureInfo) -> CaptureView:
        known = asdict(info)
        name = quote(info.id, safe="")
        known |= {
            "bytes": info.size_bytes,
            "scene": f"/scenes/{name}/" if info.is_ready else None,
            "report": f"/scenes/{name}/report/" if info.has_report else None,
            "thumbnail": f"/api/captures/{name}/thumbnail" if info.has_thumbnail else None,
        }
        return CaptureView(**{key: known[key] for key in CaptureView.__dataclass_fields__})


@dataclass(frozen=True)
class ComparisonView:
    """`Comparison` with the captures as the page sees them."""

    a: CaptureView
    b: CaptureView
    b_from_a: tuple[tuple[float, ...], ...] | None
    spread: float | None
    shared: tuple[str, ...]
    rows: tuple[tuple[str, str, str], ...]

    @staticmethod
    def of(found: Comparison) -> ComparisonView:
        a, b = CaptureView.of(found.a), CaptureView.of(found.b)
        return ComparisonView(a, b, found.b_from_a, found.spread, found.shared, found.rows)
