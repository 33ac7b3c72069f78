"""Multi-view stereo on synthetic places with exact depth."""

from __future__ import annotations

import numpy as np
import pytest

from diorama.capture.types import PosedScene
from diorama.reconstruct.depth import MultiViewStereo, MvsConfig
from diorama.render.synthetic import SyntheticScene, orbit_cameras, phone_camera, posed_scene, synthetic_scene

SIZE = (160, 120)


@pytest.fixture(scope="module")
def place() -> SyntheticScene:
    return synthetic_scene("minimal")


@pytest.fixture(scope="module")
def scene(place: SyntheticScene, tmp_path_factory: pytest.TempPathFactory) -> PosedScene:
    camera = phone_camera(*SIZE)
    return posed_scene(place, camera, orbit_cameras(place, 10), tmp_path_factory.mktemp("minimal"), samples=4)


def test_depth_is_right_and_confidence_knows_where(place: SyntheticScene, scene: PosedScene) -> None:
    from scipy.stats import rankdata

    estimator = MultiViewStereo(MvsConfig(max_size_px=160))
    errors, sure = [], []
    for name, map_ in estimator.estimate(scene, list(scene.cam_from_world)[2:5]):
        _, truth = place.render(scene.cameras[1], scene.cam_from_world[name], samples=1)
        assert map_.depth.shape == truth.shape and map_.confidence is not None
        known = (truth > 0) & (map_.depth > 0)
        errors.append(np.abs(map_.depth / np.maximum(truth, 1e-9) - 1)[known])
        sure.append(map_.confidence[known])
    error, confidence = np.concatenate(errors), np.concatenate(sure)
    right = error < 0.01
    ranks = rankdata(confidence)
    auc = (ranks[right].sum() - right.sum() * (right.sum() + 1) / 2) / (right.sum() * (~right).sum())
    print(f"median {np.median(error):.4f}, within 1 % {right.mean():.3f}, AUC {auc:.3f}")
    assert np.median(error) < 0.01 and auc > 0.8
    assert right[confidence > 0.8].mean() > 0.8
