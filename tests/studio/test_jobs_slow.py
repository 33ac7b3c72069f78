"""A real video through the studio with everything killed in the middle, and captures on a Ray cluster."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import httpx
import pytest

from diorama.capture.errors import InputError
from diorama.studio.jobs.executors import open_executor
from diorama.studio.jobs.layout import Layout
from diorama.studio.jobs.manager import StudioJobs
from diorama.studio.jobs.processes import read_process
from diorama.studio.scene import Scene
from diorama.viewer.jobs import JobRequest

from .test_jobs_run import LONG, SMALL, ended, served, trains, until

pytestmark = pytest.mark.slow


def upload(client: httpx.Client, path: Path) -> str:
    """Sends a file in two pieces, as a page with a poor connection would."""
    data = path.read_bytes()
    made = client.post("/api/uploads", json={"name": path.name, "size": len(data)})
    assert made.status_code == 201, made.text
    ident = str(made.json()["id"])
    half = len(data) // 2
    for offset, piece in ((0, data[:half]), (half, data[half:])):
        headers = {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
        sent = client.patch(f"/api/uploads/{ident}", content=piece, headers=headers)
        assert sent.status_code in (200, 204), sent.text
    return ident


def test_an_uploaded_video_ends_in_a_scene_though_all_is_killed_in_the_middle(footage: Path, tmp_path: Path) -> None:
    """Server and job's process go by SIGKILL while cameras are found, as when the power fails; then one starts anew."""
    root, config = tmp_path / "library", tmp_path / "config"
    layout = Layout.of(root)
    with served(root, config) as (server, client):
        body = {
            "title": "Stone sign",
            "uploads": [upload(client, footage / "video" / "stone_sign.mp4")],
            "preset": "preview",
            "options": {"max_frames": 24, "steps": 200, "max_size": 160, "max_splats": 4_000},
        }
        made = client.post("/api/captures", json=body)
        assert made.status_code == 201, made.text
        capture, job = made.json()["id"], made.json()["job"]
        until(lambda: (client.get(f"/api/jobs/{job}").json()["fraction"] or 0) > 0.3 and _stage(client, job) == "pose")
        kinds = [p["kind"] for p in client.get(f"/api/jobs/{job}/pictures").json()]
        assert kinds.count("chosen") == 24 and "refused" in kinds
        refused = next(p for p in client.get(f"/api/jobs/{job}/pictures").json() if p["kind"] == "refused")
        assert refused["reason"] and client.get(refused["url"]).headers["content-type"] == "image/jpeg"
        process = read_process(layout.job(job).process)
        assert process is not None
        server.kill()
        process.signal_group(signal.SIGKILL)
    with served(root, config) as (_, client):
        until(lambda: client.get(f"/api/jobs/{job}").json()["state"] not in ("queued", "running"), 900)
        found = client.get(f"/api/jobs/{job}").json()
        assert (found["state"], found["attempts"]) == ("done", 2), found
        assert next(s for s in found["stages"] if s["name"] == "ingest")["seconds"] > 0
        started = [
            e["data"]["stage"]
            for e in client.get(f"/api/jobs/{job}/events?limit=1000").json()
            if e["event"] == "started"
        ]
        assert started.count("ingest") == 1  # the second process went on
        pictures = client.get(f"/api/jobs/{job}/pictures").json()
        cameras = [client.get(p["url"]).json() for p in pictures if p["kind"] == "cameras"]
        counts = [len(c["cameras"]) for c in cameras]
        assert len(counts) >= 3 and counts[0] < counts[-1] >= 20  # they were seen to grow
        assert any(p["kind"] == "training" for p in pictures)
        scene = client.get(f"/scenes/{capture}/scene.json").json()
        assert scene["title"] == "Stone sign" and scene["splats"]["count"] > 500
        assert client.get(f"/scenes/{capture}/report/index.html").status_code == 200


def _stage(client: httpx.Client, job: str) -> str:
    found = client.get(f"/api/jobs/{job}").json()
    assert found["state"] in ("queued", "running"), found
    return str(found["stage"])


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning")
def test_two_captures_on_ray_one_worker_killed_in_the_middle(dataset: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    layout = Layout.of(tmp_path / "library")
    for name in ("one", "two", "three"):
        (layout.root / name).mkdir(parents=True)
        Scene(layout.root / name, (str(dataset),), {}).save()
    with StudioJobs(layout, open_executor("ray", 2)) as jobs:
        options = SMALL | {"steps": 5_000}
        one, two = (jobs.submit(JobRequest(name, "scan", options)) for name in ("one", "two"))
        until(lambda: trains(jobs, one))
        process = read_process(jobs.folder(one.id) / "process.json")
        assert process is not None
        os.kill(parent_of(process.pid), signal.SIGKILL)  # Ray's own worker; the job's process goes with it
        assert [ended(jobs, job).state for job in (one, two)] == ["done", "done"]
        again = read_process(jobs.folder(one.id) / "process.json")
        assert again is not None and again != process
        lines = (jobs.folder(one.id) / "events.jsonl").read_text().splitlines()
        assert sum('"started"' in line and '"train"' in line for line in lines) == 2
        assert sum('"started"' in line and '"ingest"' in line for line in lines) == 1

        three = jobs.submit(JobRequest("three", "scan", LONG))
        until(lambda: trains(jobs, three))
        jobs.cancel(three.id)
        assert ended(jobs, three).state == "stopped"
        assert any((layout.root / "three" / ".work" / "train" / "checkpoints").iterdir())


def test_a_cluster_that_is_not_there_is_a_sentence() -> None:
    pytest.importorskip("ray")
    with pytest.raises(InputError) as caught:
        open_executor("ray://127.0.0.1:1", None)
    assert "\n" not in str(caught.value) and "ray" in str(caught.value)
    for wrong in ("slurm", "ray:", "local2"):
        with pytest.raises(InputError, match="choose local, ray"):
            open_executor(wrong, None)
