"""The routes by which the scene page makes, lists, chooses and deletes versions of its scene.

    GET    versions            all, the original first
    POST   edits               {operations, parent, name}: a new version, which becomes the current one
    PATCH  versions/{number}   {name} and {is_current: true}
    DELETE versions/{number}   for good
    GET    versions/{number}/views   the views and notes kept with the scene, in that version's world
    PUT    versions/{number}/views   {viewpoints, annotations}: these instead

The same for `diorama view` and the studio, below `/api/captures/{capture}`. No annotations from the future here: the
routes' dependencies are arguments, which FastAPI could not find by name.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from fastapi import Path as InPath
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from diorama.render.operations import MAX_OPERATIONS, operations_from_json

from .jobs import NotFoundError
from .saved_views import MAX_TEXT, MOST, SavedViews
from .scene_data import Annotation, SavedView, Vec3
from .versions import MAX_NAME, VersionInfo, Versions

MAX_NUMBER = 9_999
SOURCE = "The edits"
Number = Annotated[int, InPath(ge=0, le=MAX_NUMBER)]


@dataclass(frozen=True)
class EditSite:
    """A scene's versions, and the address below which their pages are, `/` at its end."""

    versions: Versions
    pages: str


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewVersion(_Body):
    """operations: see docs/formats.md. parent: the version they are applied to. name: by default Version N."""

    operations: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=MAX_OPERATIONS)]
    parent: Annotated[int, Field(ge=0, le=MAX_NUMBER)]
    name: Annotated[str, Field(max_length=MAX_NAME)] = ""


class VersionChange(_Body):
    """What is null stays as it is."""

    name: Annotated[str, Field(max_length=MAX_NAME)] | None = None
    is_current: Annotated[bool | None, Field(description="true: make it the current one")] = None


Coordinates = Annotated[list[Annotated[float, Field(allow_inf_nan=False)]], Field(min_length=3, max_length=3)]
Line = Annotated[str, Field(max_length=MAX_TEXT)]


class ViewBody(_Body):
    """A kept view, see `SavedView`."""

    name: Line
    position: Coordinates
    target: Coordinates
    up: Coordinates


class NoteBody(_Body):
    """A note, see `Annotation`."""

    title: Line
    text: Line
    point: Coordinates


class ViewsBody(_Body):
    """What `views.json` holds."""

    viewpoints: Annotated[list[ViewBody], Field(max_length=MOST)]
    annotations: Annotated[list[NoteBody], Field(max_length=MOST)]

    def kept(self) -> SavedViews:
        def vec3(at: list[float]) -> Vec3:
            x, y, z = at
            return x, y, z

        return SavedViews(
            tuple(SavedView(v.name, vec3(v.position), vec3(v.target), vec3(v.up)) for v in self.viewpoints),
            tuple(Annotation(n.title, n.text, vec3(n.point)) for n in self.annotations),
        )

    @staticmethod
    def of(kept: SavedViews) -> "ViewsBody":
        return ViewsBody.model_validate(asdict(kept))


class VersionView(BaseModel):
    """A version in the list, see `VersionInfo`. page: where it is shown."""

    number: int
    name: str
    created: str
    splats: int
    is_current: bool
    parent: int | None
    edits: int
    removed: int
    is_metric: bool
    is_stale: bool
    page: str

    @staticmethod
    def of(info: VersionInfo, site: EditSite) -> "VersionView":
        return VersionView(**asdict(info), page=f"{site.pages}{info.number}/")


def edits_router(site_of: Callable[..., EditSite]) -> APIRouter:
    """The routes. `site_of` is a FastAPI dependency that says whose versions are meant."""
    router = APIRouter(tags=["versions"])
    Site = Annotated[EditSite, Depends(site_of)]

    @router.get("/versions")
    def versions(site: Site) -> list[VersionView]:
        """All versions, the original first."""
        return [VersionView.of(info, site) for info in site.versions.list()]

    @router.post("/edits", status_code=201)
    def edit(site: Site, body: NewVersion) -> VersionView:
        """A new version; the one it is made from stays as it is."""
        operations = operations_from_json({"operations": body.operations}, SOURCE)
        return VersionView.of(site.versions.save(operations, parent=body.parent, name=body.name), site)

    @router.patch("/versions/{number}")
    def change(site: Site, number: Number, body: VersionChange) -> VersionView:
        """Renames it, makes it the current one, or both."""
        if body.name is not None:
            site.versions.rename(number, body.name)
        if body.is_current:
            site.versions.use(number)
        found = next((v for v in site.versions.list() if v.number == number), None)
        if found is None:
            raise NotFoundError(f"There is no version {number}.")
        return VersionView.of(found, site)

    @router.delete("/versions/{number}", status_code=204)
    def delete(site: Site, number: Number) -> Response:
        """Deletes it for good."""
        site.versions.delete(number)
        return Response(status_code=204)

    @router.get("/versions/{number}/views")
    def views(site: Site, number: Number) -> ViewsBody:
        """The views and notes kept with the scene, in this version's world."""
        return ViewsBody.of(site.versions.views(number))

    @router.put("/versions/{number}/views", status_code=204)
    def keep_views(site: Site, number: Number, body: ViewsBody) -> Response:
        """Keeps these with the scene instead of those before."""
        site.versions.save_views(number, body.kept())
        return Response(status_code=204)

    return router
