"""Which pictures look alike, by a vocabulary index built from the footage itself: nothing is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pycolmap

# Training descriptors in all, and how many make a word. A small vocabulary of the very place tells its views apart
# better than a big one of other places, and takes seconds.
TRAINING_DESCRIPTORS = 30_000
DESCRIPTORS_PER_WORD = 25
# Features asked about, of each picture: those of largest scale, which are the ones seen again from elsewhere.
QUERY_FEATURES = 800


def rank_alike(
    database: pycolmap.Database, count: int, wanted: int, vocabulary: Path, threads: int, seed: int
) -> list[list[int]]:
    """For each of `count` frames (image ids 1 to count) the up to `wanted` that look most like it, best first.

    The vocabulary is written to a file for COLMAP to read. Empty lists where there are too few features for one.
    """
    import pycolmap

    training = _training_descriptors(database, count, seed)
    ranked: list[list[int]] = [[] for _ in range(count)]
    words = len(training) // DESCRIPTORS_PER_WORD
    if words < 2:
        return ranked
    index = pycolmap.VisualIndex.create(128, 64)
    build = pycolmap.VisualIndex.BuildOptions()
    build.num_visual_words = words
    build.num_iterations = 10
    build.num_rounds = 1
    build.num_checks = 64
    build.num_threads = threads
    index.build(build, pycolmap.FeatureDescriptorsFloat(pycolmap.FeatureExtractorType.SIFT, training))
    index.write(vocabulary)
    options = pycolmap.VocabTreePairingOptions()
    options.vocab_tree_path = vocabulary
    options.num_images = min(wanted + 1, count)
    options.max_num_features = QUERY_FEATURES
    options.num_threads = threads
    for query, found in pycolmap.VocabTreePairGenerator(options, database).all_pairs():
        if query != found:
            ranked[query - 1].append(found - 1)
    return ranked


def _training_descriptors(database: pycolmap.Database, count: int, seed: int) -> npt.NDArray[np.float32]:
    """An even share of every frame's descriptors of large features (T, 128)."""
    rng = np.random.default_rng(seed)
    share = min(QUERY_FEATURES, max(100, TRAINING_DESCRIPTORS // max(count, 1)))
    chosen = [np.zeros((0, 128), np.float32)]
    for image_id in range(1, count + 1):
        if not database.exists_descriptors(image_id):
            continue
        keypoints = np.asarray(database.read_keypoints(image_id), np.float32)
        if not len(keypoints):
            continue
        # Columns are x, y and the 2x2 affine shape, whose columns have the length of the scale; or x, y and the scale.
        scale = np.linalg.norm(keypoints[:, 2:], axis=1) if keypoints.shape[1] == 6 else keypoints[:, 2]
        large = np.argsort(-scale, kind="stable")[:QUERY_FEATURES]
        descriptors = np.asarray(database.read_descriptors(image_id).to_float().data, np.float32)
        chosen.append(descriptors[large[rng.permutation(len(large))[:share]]])
    return np.concatenate(chosen)
