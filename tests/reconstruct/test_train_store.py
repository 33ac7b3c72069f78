"""Photos in bounded memory: what fits is decoded once, the rest again, ahead of its use."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from diorama.capture.errors import InputError
from diorama.kernels import View
from diorama.reconstruct.train import Start, TrainConfig, train_splats
from diorama.reconstruct.train.backends import Target
from diorama.reconstruct.train.photos import AHEAD, PhotoStore, free_bytes, memory_for_photos

from .conftest import SplatScene

VIEW = View(8, 6, 8.0, 8.0, 4.0, 3.0, np.eye(3, 4, dtype=np.float32))
SIZE = 8 * 6 * 3


class Disk:
    """Counts what is decoded; every photo is one grey level."""

    def __init__(self) -> None:
        self.decoded: list[int] = []
        self.lock = threading.Lock()

    def __call__(self, index: int) -> Target:
        with self.lock:
            self.decoded.append(index)
        if index == 99:
            raise InputError("photo 99 cannot be read")
        return Target(VIEW, np.full((6, 8, 3), index, np.uint8), None)


def store(count: int, photos_that_fit: int) -> tuple[PhotoStore, Disk]:
    disk = Disk()
    return PhotoStore([VIEW] * count, disk, photos_that_fit * SIZE + 5), disk


def test_what_fits_is_decoded_once() -> None:
    photos, disk = store(20, 20)
    for _ in range(3):
        assert [int(t.rgb[0, 0, 0]) for t in photos] == list(range(20))
    assert sorted(disk.decoded) == list(range(20))
    assert photos.is_whole and photos.kept_bytes == 20 * SIZE
    photos.close()


def test_what_does_not_fit_is_decoded_again_and_takes_nobodys_place() -> None:
    photos, disk = store(20, 12)
    for _ in photos:
        pass
    assert [photos.keeps(i) for i in range(20)] == [True] * 12 + [False] * 8
    disk.decoded.clear()
    order = [int(i) for i in np.random.default_rng(0).permutation(20)]
    for place, index in enumerate(order):
        photos.expect(order[place : place + AHEAD])
        assert photos[index].rgb[0, 0, 0] == index
        assert photos[index] is photos[index]
    assert sorted({*disk.decoded, 19}) == list(range(12, 20))  # the one used last was still at hand
    assert photos.kept_bytes == 12 * SIZE
    photos.close()


def test_no_more_than_a_few_wait_in_memory() -> None:
    photos, _ = store(100, 0)
    photos.expect(range(60))
    assert len(photos._coming) == AHEAD
    photos.close()
    assert not photos._coming


def test_an_unreadable_photo_is_said_when_it_is_used() -> None:
    photos, _ = store(100, 0)
    photos.expect([98, 99])
    assert photos[98].rgb[0, 0, 0] == 98
    with pytest.raises(InputError, match="photo 99"):
        photos[99]
    with pytest.raises(IndexError):
        photos[100]
    photos.close()


def test_memory_is_what_the_config_says_or_a_share_of_what_is_free() -> None:
    assert memory_for_photos(3) == 3 << 20
    assert 0 < memory_for_photos(None) < free_bytes()
    with pytest.raises(InputError, match="photo_memory_mb"):
        TrainConfig(photo_memory_mb=-1)


@pytest.mark.parametrize("backend", ["auto", "torch"])
def test_a_training_without_memory_for_photos_gives_the_same_bytes(
    splat_scene: SplatScene, tmp_path: Path, backend: str
) -> None:
    scene = splat_scene(views=6, width=24, height=18)
    config = TrainConfig(steps=25, batch=2, max_splats=80, start=Start(min_points=60), backend=backend)  # type: ignore[arg-type]
    roomy, tight = (
        train_splats(scene, tmp_path / str(mb), replace(config, photo_memory_mb=mb)).splats for mb in (64, 0)
    )
    assert np.array_equal(roomy.means, tight.means)
    assert np.array_equal(roomy.sh, tight.sh)
