"""What the command line says reaches the trainer; what it does not say comes from the preset."""

from __future__ import annotations

import dataclasses

from diorama.reconstruct.train import PRESETS
from diorama.studio.commands import TrainOptions, train_config


def test_nothing_given_is_the_preset() -> None:
    for preset in ("preview", "standard", "high"):
        assert train_config(TrainOptions(preset=preset)) == PRESETS[preset]


def test_every_option_is_read() -> None:
    given = TrainOptions(
        preset="preview",
        steps=7,
        max_size=99,
        hold_out="none",
        max_splats=11,
        strategy="fast",
        batch=2,
        antialiased="on",
        exposure="affine",
        lens="original",
        refine_poses="on",
        depth_weight=0.2,
        mask_weight=0.1,
        needle_reg=0.3,
        backend="cpu",
        seed=5,
    )
    defaults = TrainOptions()
    unset = [f.name for f in dataclasses.fields(given) if getattr(given, f.name) == getattr(defaults, f.name)]
    assert not unset, "this test does not set every option"
    config, preset = train_config(given), PRESETS["preview"]
    expected = dataclasses.asdict(given) | {"antialiased": True, "refine_poses": True, "max_size_px": 99}
    for name in ("preset", "max_size", "depth_weight", "needle_reg"):
        expected.pop(name)
    expected["depth"] = dataclasses.replace(preset.depth, weight=0.2, weight_final=0.2 * 0.03 / 0.05)
    expected["mcmc"] = dataclasses.replace(preset.mcmc, needle_reg=0.3)
    for name, value in expected.items():
        assert getattr(config, name) == value
    assert dataclasses.replace(config, **{n: getattr(preset, n) for n in expected}) == preset


def test_a_switch_can_turn_off() -> None:
    assert train_config(TrainOptions(antialiased="off")).antialiased is False


def test_no_depth_weight_leaves_depth_maps_alone() -> None:
    config = train_config(TrainOptions(depth_weight=0.0))
    assert not config.depth.wanted and train_config(TrainOptions()).depth.wanted
