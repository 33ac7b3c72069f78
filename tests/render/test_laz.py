"""LAZ, read back by laspy; UTM against published places."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from diorama.capture.errors import InputError
from diorama.capture.types import SparsePoints
from diorama.render.formats.laz import as_points, utm_wkt, write_laz


def cloud(count: int = 500, middle: tuple[float, float, float] = (0, 0, 0)) -> SparsePoints:
    rng = np.random.default_rng(3)
    return as_points(rng.normal(size=(count, 3)) * 5 + middle, rng.integers(0, 256, (count, 3)).astype(np.uint8))


@pytest.mark.parametrize("middle", [(0.0, 0.0, 0.0), (691_000.123, 6_100_000.456, 87.0)])
def test_laz_comes_back_to_a_millimetre(tmp_path: Path, middle: tuple[float, float, float]) -> None:
    import laspy

    points = cloud(middle=middle)
    write_laz(points, tmp_path / "p.laz", wkt=utm_wkt(33, True))
    back = laspy.read(tmp_path / "p.laz")
    assert back.header.are_points_compressed and str(back.header.version) == "1.4" and back.header.point_format.id == 7
    np.testing.assert_allclose(back.xyz, points.xyz, atol=0.00051)  # half a step, and float64 rounding at 6e6
    np.testing.assert_array_equal(back.red // 257, points.rgb_srgb[:, 0])
    np.testing.assert_allclose(back.header.mins, points.xyz.min(0), atol=0.00051)
    assert 'EPSG","32633"' in back.header.vlrs.get("WktCoordinateSystemVlr")[0].string
    assert [p.name for p in tmp_path.iterdir()] == ["p.laz"]


def test_a_vast_cloud_gets_coarser_steps(tmp_path: Path) -> None:
    import laspy

    points = as_points([[-4e6, 0, 0], [4e6, 1, 0]], np.zeros((2, 3), np.uint8))
    write_laz(points, tmp_path / "p.laz")
    np.testing.assert_allclose(laspy.read(tmp_path / "p.laz").xyz, points.xyz, atol=0.0051)


def test_no_points_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no points"):
        write_laz(SparsePoints.empty(), tmp_path / "p.laz")
