"""The studio's routes: captures, jobs, scenes and what the page must know, over doubles of the library and the jobs."""

from __future__ import annotations

from .conftest import Sample
from .studio_doubles import Studio


def test_the_studio_s_page_and_its_files(studio: Studio) -> None:
    assert studio.client.get("/").text == "studio/studio.html"
    script = studio.client.get("/assets/s.js")
    assert script.text == "studio/assets/s.js" and "immutable" in script.headers["cache-control"]
    for path in ("/assets/a.js", "/studio/studio.html", "/assets/", "/nothing", "/api/nothing", "/docs"):
        assert studio.client.get(path).status_code == 404, path


def test_an_upload_becomes_a_capture_with_a_job(studio: Studio) -> None:
    uploads = [studio.upload(name, b"12345") for name in ("../a.mp4", "b.jpg")]
    made = studio.client.post(
        "/api/captures", json={"title": "Room", "uploads": uploads, "preset": "preview", "options": {"seed": 3}}
    )
    assert made.status_code == 201
    capture = made.json()
    assert (capture["title"], capture["footage"]) == ("Room", ["a.mp4", "b.jpg"])
    assert (studio.library.folder_of(capture["id"]) / "a.mp4").read_bytes() == b"12345"
    (job,) = studio.client.get("/api/jobs", params={"capture": capture["id"]}).json()
    assert (job["kind"], job["options"]) == ("scan", {"preset": "preview", "seed": 3})
    assert studio.client.get("/api/uploads").json() == []
    assert [c["id"] for c in studio.client.get("/api/captures").json()] == [capture["id"]]


def test_uploads_that_have_not_arrived_make_no_capture(studio: Studio) -> None:
    number = studio.client.post("/api/uploads", json={"name": "a.mp4", "size": 5}).json()["id"]
    for uploads, status in (([number], 409), (["0" * 32], 404), ([], 422), ([number, number], 400)):
        answer = studio.client.post("/api/captures", json={"title": "Room", "uploads": uploads})
        assert answer.status_code == status and set(answer.json()) == {"error"}
    assert studio.client.get("/api/captures").json() == []


def test_a_job_that_is_refused_leaves_the_capture(studio: Studio) -> None:
    body = {"title": "Room", "uploads": [studio.upload("a.mp4", b"1")], "options": {"unknown": 1}}
    answer = studio.client.post("/api/captures", json=body)
    assert (answer.status_code, answer.json()) == (400, {"error": "There is no option unknown."})
    assert [c["title"] for c in studio.client.get("/api/captures").json()] == ["Room"]


def test_rename_trash_and_restore(studio: Studio) -> None:
    name = studio.library.add("One").id
    assert studio.client.patch(f"/api/captures/{name}", json={"title": "Two"}).json()["title"] == "Two"
    assert studio.client.delete(f"/api/captures/{name}").json()["deleted"] > 0
    assert studio.client.get("/api/captures").json() == []
    assert [c["title"] for c in studio.client.get("/api/trash").json()] == ["Two"]
    assert studio.client.post(f"/api/captures/{name}/restore").json()["deleted"] is None
    assert studio.client.delete(f"/api/trash/{name}").status_code == 404
    studio.client.delete(f"/api/captures/{name}")
    assert studio.client.delete("/api/trash").json() == {"bytes": 7}


def test_runs_comparisons_and_exports(studio: Studio) -> None:
    first = studio.library.add("One").id
    second = studio.client.post(f"/api/captures/{first}/runs", json={"preset": "high"}).json()["id"]
    assert studio.jobs.list(second)[0].options == {"preset": "high"}
    assert studio.client.get("/api/compare", params={"a": first, "b": second}).json()["rows"] == [["Splats", "1", "2"]]
    job = studio.client.post(f"/api/captures/{first}/exports", json={"for": "unreal", "what": "mesh"}).json()
    assert (job["kind"], job["options"]) == ("export", {"engine": "unreal", "what": "mesh"})
    file = studio.library.folder_of(first) / "exports" / "unreal" / "a b\u00e9.glb"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"glTF")
    (listed,) = studio.client.get(f"/api/captures/{first}/exports").json()
    got = studio.client.get(f"/api/captures/{first}/exports/{listed['name']}")
    assert got.content == b"glTF"
    assert got.headers["content-disposition"] == "attachment; filename*=utf-8''a%20b%C3%A9.glb"
    for name in ("%2e%2e/scene.json", "unreal", "unreal/none", "..%2f..%2fsecret"):
        assert studio.client.get(f"/api/captures/{first}/exports/{name}").status_code == 404


def test_jobs_stop_go_on_and_are_forgotten(studio: Studio) -> None:
    capture = studio.library.add("One").id
    job = studio.client.post("/api/jobs", json={"capture": capture, "kind": "mesh", "options": {}}).json()["id"]
    assert studio.client.delete(f"/api/jobs/{job}").status_code == 409
    assert studio.client.post(f"/api/jobs/{job}/cancel").json()["state"] == "stopped"
    assert studio.client.post(f"/api/jobs/{job}/resume").json()["state"] == "queued"
    assert studio.client.post(f"/api/jobs/{job}/resume").status_code == 409
    told = studio.client.get(f"/api/jobs/{job}/events", params={"after": 1}).json()
    assert [e["data"]["state"] for e in told] == ["stopped", "queued"]
    studio.client.post(f"/api/jobs/{job}/cancel")
    assert studio.client.delete(f"/api/jobs/{job}").status_code == 204
    assert studio.client.get(f"/api/jobs/{job}").json() == {"error": f"There is no job {job}."}


def test_pictures_of_a_job(studio: Studio) -> None:
    job = studio.client.post("/api/jobs", json={"capture": "x", "kind": "scan"}).json()["id"]
    folder = studio.jobs.folder(job) / "pictures"
    folder.mkdir(parents=True)
    (folder / "0001.jpg").write_bytes(b"\xff\xd8")
    (picture,) = studio.client.get(f"/api/jobs/{job}/pictures").json()
    got = studio.client.get(picture["url"])
    assert (got.content, got.headers["content-type"]) == (b"\xff\xd8", "image/jpeg")
    assert studio.client.get(f"/api/jobs/{job}/pictures/%2e%2e").status_code == 404


def test_the_scene_page_of_a_capture(studio: Studio, small: Sample) -> None:
    name = studio.library.show(small.scene).id
    redirected = studio.client.get(f"/scenes/{name}")
    assert (redirected.status_code, redirected.headers["location"]) == (308, f"{name}/")
    assert studio.client.get(f"/scenes/{name}/").text == "index.html"
    assert studio.client.get(f"/scenes/{name}/assets/a.js").text == "assets/a.js"
    told = studio.client.get(f"/scenes/{name}/scene.json").json()
    assert told["splats"]["count"] == 300 and told["server"]["captures"] == f"/api/captures/{name}"
    splats = small.scene.splats.read_bytes()
    assert studio.client.get(f"/scenes/{name}/{told['splats']['url']}").content == splats
    assert studio.client.get(f"/scenes/{name}/{told['cameras'][0]['photo']}").headers["content-type"] == "image/jpeg"
    assert studio.library.scenes_made == 1
    for path in ("none", "%2e%2e/scene.json", "..%2f..%2fetc/passwd", "photos/", "report/"):
        assert studio.client.get(f"/scenes/{name}/{path}").status_code == 404, path


def test_a_scene_that_changed_is_made_anew(studio: Studio, small: Sample) -> None:
    name = studio.library.show(small.scene).id
    for _ in range(2):
        assert studio.client.get(f"/scenes/{name}/scene.json").status_code == 200
    assert studio.library.scenes_made == 1
    (studio.library.folder(name) / "scene.json").write_text("{}")
    studio.client.get(f"/scenes/{name}/scene.json")
    assert studio.library.scenes_made == 2
    waiting = studio.library.add("Not yet").id
    assert studio.client.get(f"/scenes/{waiting}/").json() == {"error": "There is nothing to see yet."}


def test_a_link_to_nothing_is_a_page_for_people(studio: Studio) -> None:
    answer = studio.client.get("/scenes/<b>none", headers={"Sec-Fetch-Dest": "document"})
    while answer.is_redirect:
        answer = studio.client.get(f"/scenes/{answer.headers['location']}", headers={"Sec-Fetch-Dest": "document"})
    assert answer.status_code == 404 and answer.headers["content-type"].startswith("text/html")
    assert "There is no capture &lt;b&gt;none." in answer.text and '<a href="/">' in answer.text


def test_the_report_has_a_policy_of_its_own(studio: Studio) -> None:
    name = studio.library.add("One").id
    folder = studio.library.folder(name) / "report"
    folder.mkdir()
    (folder / "index.html").write_text("<style>b{color:red}</style>")
    (folder / "leak").symlink_to("/etc/passwd")
    got = studio.client.get(f"/scenes/{name}/report/")
    assert got.status_code == 200 and "style-src 'self' 'unsafe-inline'" in got.headers["content-security-policy"]
    assert "script-src" not in got.headers["content-security-policy"]
    for path in ("leak", "%2e%2e/scene.json", "..%2fscene.json"):
        assert studio.client.get(f"/scenes/{name}/report/{path}").status_code == 404


def test_what_the_page_must_know(studio: Studio) -> None:
    about = studio.client.get("/api/studio").json()
    assert about["lan"] is False and about["title"] == "library" and about["free_bytes"] > 0
    answer = studio.client.get("/api/invite")
    assert answer.status_code == 409 and "--lan" in answer.json()["error"]
    document = studio.client.get("/api/openapi.json").json()
    assert "/api/captures/{capture}" in document["paths"]


MALFORMED = (
    b"", b"{", b"[]", b"null", b'{"name": "a"}', b'{"name": "a", "size": "5"}', b'{"name": "a", "size": -1}',
    b'{"name": "a", "size": 1e400}', b'{"name": "", "size": 1}', b'{"name": "a", "size": 0}',
    b"\xff\xfe", b"[" * 100_000,
    b'{"name": "a", "size": 1152921504606846976}', b'{"name": "' + b"a" * 5000 + b'", "size": 1}',
)  # fmt: skip


def test_malformed_uploads_are_sentences(studio: Studio) -> None:
    for body in MALFORMED:
        answer = studio.client.post("/api/uploads", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code in (400, 422) and set(answer.json()) == {"error"}, (body[:60], answer.text)
