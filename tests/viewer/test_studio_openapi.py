"""Made-up requests from the API's own description, sound and unsound: none may make the studio fail."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance

from .conftest import Sample, running_studio
from .studio_doubles import Studio

FEW, MANY = 4, 100


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory, pages: Path, small: Sample) -> Iterator[Studio]:
    """A studio with something of everything in it."""
    with running_studio(tmp_path_factory.mktemp("fuzzed"), pages) as studio:
        capture = studio.library.show(small.scene).id
        for name in ("report/index.html", "exports/scene.ply", "thumbnail.jpg"):
            path = studio.library.folder(capture) / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"x")
        studio.client.post("/api/jobs", json={"capture": capture, "kind": "scan"})
        yield studio


def operations(studio: Studio) -> Iterator[Any]:
    schema = schemathesis.openapi.from_dict(studio.client.get("/api/openapi.json").json())
    for found in schema.get_all_operations():
        yield found.ok()


def there(studio: Studio) -> dict[str, str]:
    """Ids of things that are there; what an operation before deleted is put back."""
    for gone in studio.library.trash():
        studio.library.restore(gone.id)
    uploads = studio.client.get("/api/uploads").json()
    upload = uploads[0] if uploads else studio.client.post("/api/uploads", json={"name": "a.mp4", "size": 5}).json()
    return {"capture": studio.library.list()[-1].id, "job": studio.jobs.list()[-1].id, "upload": upload["id"]}


def try_one(studio: Studio, operation: Any, examples: int, mode: GenerationMode) -> int:
    """Sends so many made-up requests to an operation; how many there were."""
    known = there(studio)
    headers = {"Cookie": studio.cookie, "Origin": studio.origin}
    sent = 0

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode), is_known=st.booleans())
    def send(case: Any, is_known: bool) -> None:
        nonlocal sent
        if is_known:  # else nearly all would end with "there is no such capture"
            case.path_parameters.update({k: v for k, v in known.items() if k in case.path_parameters})
        sent += 1
        checks = [not_a_server_error, response_schema_conformance]
        case.call_and_validate(base_url=studio.origin, headers=headers, checks=checks, timeout=60)

    with contextlib.suppress(Unsatisfiable):  # where nothing can be wrong
        send()
    return sent


def try_all(studio: Studio, examples: int, mode: GenerationMode) -> int:
    sent = sum(try_one(studio, operation, examples, mode) for operation in operations(studio))
    assert studio.client.get("/api/studio").is_success
    return sent


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_no_request_makes_it_fail(fuzzed: Studio, mode: GenerationMode) -> None:
    assert try_all(fuzzed, FEW, mode) > 100


@pytest.mark.slow
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_no_request_of_many_makes_it_fail(fuzzed: Studio, mode: GenerationMode) -> None:
    assert try_all(fuzzed, MANY, mode) > 2000
