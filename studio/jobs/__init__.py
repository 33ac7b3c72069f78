"""The studio's jobs: a table in SQLite, a process for each job, and what starts and watches these.

A library folder has one `.diorama/` with the table, a folder for each job, the trash and room for uploads:

    library/
      kitchen/             a capture: a scene folder, with `footage/` and `studio.json` where the studio made it
      .diorama/
        jobs.sqlite        the table: jobs and the latest of their events
        lock               held by the one studio that serves the library
        jobs/<id>/         request.json, events.jsonl, process.json, log.txt, pictures/
        trash/<id>/        deleted captures
        scratch/           uploads and captures that are being put together

The modules, bottom to top: `layout` (these paths), `diary` (events.jsonl), `table`, `pictures` and `listener` (a
process's side), `requests` (what may be asked for), `worker` (the process), `executors`, `manager` (`StudioJobs`).
"""

from __future__ import annotations
