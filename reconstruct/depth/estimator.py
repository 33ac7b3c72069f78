"""What every estimator of depth can do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from diorama.capture.depth import DepthMap
from diorama.capture.events import OnEvent, ignore
from diorama.capture.types import PosedScene


class DepthEstimator(Protocol):
    """Depth of photos whose cameras are known. Its settings are given when it is made.

    name: what reports call it ("mvs", "network").
    """

    @property
    def name(self) -> str: ...

    def estimate(
        self, scene: PosedScene, names: Sequence[str] | None = None, *, on_event: OnEvent = ignore
    ) -> Iterator[tuple[str, DepthMap]]:
        """Each frame's name and map, one after the other, as soon as it is made.

        Maps are as `capture.depth.DepthMap` says: z in the frame in which poses were solved (world units over
        `scene.world_from_input.scale`), covering the frame's picture as the lens drew it, at a size of the estimator's
        choice. A frame of which nothing can be said gets a map of zeros and a `Warned` event that says why.

        Args:
            names: registered frames, in the order wanted; None for all. Whoever resumes leaves out what is done.
            on_event: hears Started("depth", frames), Progressed after each frame, Warned and Finished.

        Raises:
            InputError: a picture cannot be read, or a pose is no number.
            KeyError: a name is not a registered frame.
            KeyboardInterrupt: passes through between two frames; nothing is left half done.
        """
        ...
