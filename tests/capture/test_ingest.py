"""Photos and folders in, as a person gives them; every bad input in one sentence, and nothing left behind."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diorama.capture import Capture, IngestConfig, InputError, Progressed, Started, Warned, ingest, load_capture
from diorama.capture.events import Finished
from diorama.capture.footage import natural_key

PhotoFolder = Callable[..., Path]
Window = Callable[..., np.ndarray]


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def names(capture: Capture) -> list[str]:
    return [f.name for f in capture.frames]


def test_jpegs_are_taken_byte_for_byte(photo_folder: PhotoFolder, tmp_path: Path) -> None:
    folder = photo_folder(12, quality=90)
    events: list[object] = []
    result = ingest([folder], tmp_path / "frames", on_event=events.append)
    capture = result.capture
    assert result.imported is None and capture.source == "photos" and capture.given == 12
    assert names(capture) == [f"shot{i}.jpg" for i in range(12)]  # 10 after 9, not after 1
    for frame in capture.frames:
        assert capture.image_path(frame).read_bytes() == (folder / frame.source).read_bytes()
        assert frame.quality is not None and frame.quality.sharpness > 0
    assert load_capture(tmp_path / "frames") == capture
    assert isinstance(events[0], Started) and isinstance(events[-1], Finished)
    assert any(isinstance(e, Progressed) for e in events) and not any(isinstance(e, Warned) for e in events)
    assert capture.has_prior == {1: False} and capture.cameras[1].params == (384.0, 160.0, 120.0, 0.0)


def test_mixed_cameras_are_several(photo_folder: PhotoFolder, tmp_path: Path) -> None:
    folder = photo_folder(6)
    exif = Image.Exif()
    exif[271], exif[272] = "Maker", "Model"
    exif.get_ifd(0x8769)[41989] = 36
    for i in (1, 4):
        with Image.open(folder / f"shot{i}.jpg") as image:
            image.copy().save(folder / f"shot{i}.jpg", exif=exif)
    with Image.open(folder / "shot5.jpg") as image:
        image.resize((160, 120)).save(folder / "shot5.jpg")
    capture = ingest([folder], tmp_path / "frames").capture
    assert [f.camera_id for f in capture.frames] == [1, 2, 1, 1, 2, 3]
    assert capture.has_prior == {1: False, 2: True, 3: False}
    # 36 mm on film's diagonal of 43.27 mm, here 400 px.
    assert capture.cameras[2].params[0] == pytest.approx(36 / 43.2666 * 400)
    assert capture.frames[1].exif.make == "Maker" and capture.cameras[3].width_px == 160


def test_turned_and_foreign_files_are_written_anew(photo_folder: PhotoFolder, window: Window, tmp_path: Path) -> None:
    folder = photo_folder(2)
    exif = Image.Exif()
    exif[274] = 6
    stored = Image.fromarray(np.ascontiguousarray(np.rot90(window(500, 500, 240, 320))))
    stored.save(folder / "turned.jpg", exif=exif, quality=98, subsampling=0)
    Image.fromarray(window(700, 300)).save(folder / "scan.tif")
    Image.fromarray(window(100, 700)).save(folder / "web.webp", lossless=True)
    capture = ingest([folder], tmp_path / "frames").capture
    assert sorted(names(capture)) == ["scan.png", "shot0.jpg", "shot1.jpg", "turned.jpg", "web.jpg"]
    turned = read(capture.images / "turned.jpg")
    assert turned.shape == (320, 240, 3)
    assert np.abs(turned.astype(int) - window(500, 500, 240, 320)).mean() < 4  # two JPEGs
    np.testing.assert_array_equal(read(capture.images / "scan.png"), window(700, 300))
    with Image.open(capture.images / "turned.jpg") as image:
        assert image.getexif().get(274, 1) == 1


def test_a_corrupt_photo_among_good_ones_is_skipped_and_named(photo_folder: PhotoFolder, tmp_path: Path) -> None:
    folder = photo_folder(4)
    whole = (folder / "shot2.jpg").read_bytes()
    (folder / "shot2.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "shot9.jpg").write_bytes(b"not a photo")
    events: list[object] = []
    capture = ingest([folder], tmp_path / "frames", on_event=events.append).capture
    assert names(capture) == ["shot0.jpg", "shot1.jpg", "shot3.jpg"] and capture.given == 5
    assert [r.name for r in capture.rejected] == ["shot2.jpg", "shot9.jpg"]
    assert all("cannot be read" in r.reason for r in capture.rejected)
    assert [e.message for e in events if isinstance(e, Warned)] == list(capture.warnings)
    assert capture.warnings[0].startswith("shot2.jpg was skipped: it cannot be read")


def test_twelve_copies_of_one_photo(photo_folder: PhotoFolder, tmp_path: Path) -> None:
    folder = photo_folder(1)
    for i in range(1, 12):
        shutil.copy(folder / "shot0.jpg", folder / f"copy{i}.jpg")
    with pytest.raises(InputError, match=r"The 12 pictures in .* are all the same photo"):
        ingest([folder], tmp_path / "frames")
    assert not (tmp_path / "frames").exists() and len(list(folder.iterdir())) == 12


def test_copies_are_left_out_also_recoded(photo_folder: PhotoFolder, tmp_path: Path) -> None:
    folder = photo_folder(3)
    with Image.open(folder / "shot1.jpg") as image:
        image.copy().save(folder / "weak.jpg", quality=60)
    capture = ingest([folder], tmp_path / "frames").capture
    assert names(capture) == ["shot0.jpg", "shot1.jpg", "shot2.jpg"]
    assert [(r.name, r.reason) for r in capture.rejected] == [("weak.jpg", "the same picture as shot1.jpg")]


def test_too_many_photos_are_thinned_to_the_budget(photo_folder: PhotoFolder, tmp_path: Path) -> None:
    capture = ingest([photo_folder(10)], tmp_path / "frames", IngestConfig(max_frames=6)).capture
    assert len(capture.frames) == 6 and len(capture.rejected) == 4
    assert all("over the budget of 6; much like shot" in r.reason for r in capture.rejected)


def test_a_blurred_photo_is_warned_about_and_kept(photo_folder: PhotoFolder, tmp_path: Path) -> None:
    from PIL import ImageFilter

    folder = photo_folder(8)
    with Image.open(folder / "shot3.jpg") as image:
        image.filter(ImageFilter.GaussianBlur(1.5)).save(folder / "shot3.jpg")
    capture = ingest([folder], tmp_path / "frames").capture
    assert len(capture.frames) == 8
    assert capture.warnings == ("1 photo(s) look blurred beside their neighbours: shot3.jpg.",)
    assert [f.quality.relative_sharpness < 0.6 for f in capture.frames if f.quality].index(True) == 3


def test_raw_beside_its_picture_is_one_photo(photo_folder: PhotoFolder, tmp_path: Path) -> None:
    folder = photo_folder(3)
    (folder / "shot1.NEF").write_bytes(b"raw")
    capture = ingest([folder], tmp_path / "frames").capture
    assert len(capture.frames) == 3 and capture.rejected[0].name == "shot1.NEF"
    assert "RAW file of a photo that is there" in capture.rejected[0].reason


def mask_image(left: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    mask = np.zeros(size[::-1], np.uint8)
    mask[:, left:] = 7  # anything but 0 keeps
    return Image.fromarray(mask)


def test_masks_beside_the_photos(photo_folder: PhotoFolder, tmp_path: Path) -> None:
    folder = photo_folder(5)
    (folder / "masks").mkdir()
    mask_image(100).save(folder / "masks" / "shot0.jpg.png")
    mask_image(50).save(folder / "masks" / "shot1.png")
    mask_image(80, (160, 120)).save(folder / "masks" / "shot2.png")  # half the size
    mask_image(10, (200, 120)).save(folder / "masks" / "shot3.png")  # another shape
    mask_image(0).save(folder / "masks" / "shot4.png")  # hides nothing
    capture = ingest([folder], tmp_path / "frames").capture
    assert [f.mask for f in capture.frames] == ["shot0.jpg.png", "shot1.jpg.png", "shot2.jpg.png", None, None]
    for frame, left in zip(capture.frames[:3], (100, 50, 160), strict=True):
        path = capture.mask_path(frame)
        assert path is not None
        mask = read(path)
        assert mask.shape == (240, 320) and set(np.unique(mask)) == {0, 255}
        assert not mask[:, :left].any() and mask[:, left:].all()
    assert len(capture.warnings) == 1 and "shot3.png" in capture.warnings[0]
    assert all(f.mask is None for f in ingest([folder], tmp_path / "b", IngestConfig(use_masks=False)).capture.frames)


def test_masks_are_turned_with_their_photo(photo_folder: PhotoFolder, window: Window, tmp_path: Path) -> None:
    """Stored lying, shown upright: a mask drawn on the stored pixels is turned, one drawn upright is not."""
    folder = photo_folder(2)
    exif = Image.Exif()
    exif[274] = 6  # the stored left side is the top
    for name in ("lying", "upright"):
        stored = np.ascontiguousarray(window(300, 500 + 9 * len(name)))
        Image.fromarray(stored).save(folder / f"{name}.jpg", exif=exif)
    (folder / "masks").mkdir()
    mask_image(100).save(folder / "masks" / "lying.png")  # hides 100 columns on the left as stored: on top as shown
    upright = np.full((320, 240), 255, np.uint8)
    upright[:60] = 0
    Image.fromarray(upright).save(folder / "masks" / "upright.png")
    capture = ingest([folder], tmp_path / "frames").capture
    for name, hidden in (("lying.jpg", 100), ("upright.jpg", 60)):
        path = capture.mask_path(capture.frame(name))
        assert path is not None
        mask = read(path)
        assert mask.shape == (320, 240) and not mask[:hidden].any() and mask[hidden:].all()


def test_alpha_becomes_a_mask(photo_folder: PhotoFolder, window: Window, tmp_path: Path) -> None:
    folder = photo_folder(2)
    rgba = np.dstack([window(500, 500), np.full((240, 320), 255, np.uint8)])
    rgba[:, :40, 3], rgba[:, 40:80, 3] = 0, 90
    Image.fromarray(rgba).save(folder / "cut.png")
    rgba[..., 3] = 0
    Image.fromarray(rgba).save(folder / "gone.png")
    capture = ingest([folder], tmp_path / "frames").capture
    frame = capture.frame("cut.png")
    path = capture.mask_path(frame)
    assert path is not None
    assert not read(path)[:, :80].any() and read(path)[:, 80:].all()
    assert read(capture.image_path(frame)).shape == (240, 320, 3)
    assert [(r.name, r.reason) for r in capture.rejected] == [("gone.png", "is transparent everywhere")]


def test_folders_of_folders_globs_and_lists(photo_folder: PhotoFolder, tmp_path: Path) -> None:
    photo_folder(2, folder="rig/left")
    photo_folder(3, folder="rig/right")
    (tmp_path / "rig" / "masks").mkdir()
    with Image.open(tmp_path / "rig" / "right" / "shot2.jpg") as image:
        image.transpose(Image.Transpose.FLIP_TOP_BOTTOM).save(tmp_path / "rig" / "right" / "shot0.jpg")
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "rig" / "right" / "shot1.jpg")
    rig = tmp_path / "rig"
    capture = ingest([rig], tmp_path / "a").capture
    assert names(capture) == ["left/shot0.jpg", "left/shot1.jpg", *(f"right/shot{i}.jpg" for i in range(3))]
    assert names(ingest([str(rig / "right" / "*.jpg")], tmp_path / "b").capture) == [f"shot{i}.jpg" for i in range(3)]
    files = sorted((rig / "right").iterdir())[:2]
    assert names(ingest(files, tmp_path / "c").capture) == ["shot0.jpg", "shot1.jpg"]
    assert names(ingest([rig / "left", rig / "right"], tmp_path / "d").capture) == names(capture)


def test_names_that_trip_lists_are_cleaned(photo_folder: PhotoFolder, tmp_path: Path) -> None:
    folder = photo_folder(4)
    for i, name in enumerate(["my photo, 1.jpg", "my_photo__1.jpg", "Grüße.jpg"]):
        (folder / f"shot{i}.jpg").rename(folder / name)
    (folder / ".hidden.jpg").write_bytes(b"")
    capture = ingest([folder], tmp_path / "frames").capture
    assert sorted(names(capture)) == ["Grüße.jpg", "my_photo__1.jpg", "my_photo__1_2.jpg", "shot3.jpg"]
    assert {f.source for f in capture.frames} >= {"my photo, 1.jpg", "my_photo__1.jpg"}


def test_a_video_beside_photos_is_left_out_and_told(photo_folder: PhotoFolder, tmp_path: Path) -> None:
    folder = photo_folder(3)
    (folder / "live.mov").write_bytes(b"x")
    capture = ingest([folder], tmp_path / "frames").capture
    assert len(capture.frames) == 3 and "1 video(s) beside the photos" in capture.warnings[0]


def test_bad_footage_is_one_sentence(photo_folder: PhotoFolder, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    two = tmp_path / "two"
    two.mkdir()
    for name in ("a.mp4", "b.mp4"):
        (two / name).write_bytes(b"x")
    one = photo_folder(1)
    broken = photo_folder(2, folder="broken")
    for file in broken.iterdir():
        file.write_bytes(b"x")
    half = photo_folder(2, folder="half")
    (half / "shot1.jpg").write_bytes(b"x")
    (tmp_path / "notes.txt").write_text("hello")
    cases: list[tuple[list[str | Path], str]] = [
        ([], "No footage was given"),
        ([tmp_path / "nowhere"], "nowhere does not exist"),
        ([str(tmp_path / "*.jpg")], "matches no file"),
        ([empty], r"holds no images; photos \(\.jpg .*\.dng.*\.mp4"),
        ([two], "holds 2 videos"),
        ([two / "a.mp4", two / "b.mp4"], "2 videos were given"),
        ([one], "is one photo"),
        ([one / "shot0.jpg"], "is one photo"),
        ([broken], "None of the 2 images"),
        ([half], "Only shot0.jpg of the 2 images"),
        ([tmp_path / "notes.txt"], "is no footage"),
        ([empty, tmp_path / "notes.txt"], "Among the 2 paths given is no image"),
        (["a\0b"], "a.b does not exist"),
    ]
    for footage, message in cases:
        with pytest.raises(InputError, match=message) as raised:
            ingest(footage, tmp_path / "out")
        assert "\n" not in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_the_result_never_covers_what_is_not_ours(photo_folder: PhotoFolder, tmp_path: Path) -> None:
    folder = photo_folder(3)
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="not empty and holds no capture"):
        ingest([folder], other)
    with pytest.raises(InputError, match="holds the footage itself"):
        ingest([folder], folder)
    with pytest.raises(InputError, match=r"not empty|holds the footage"):
        ingest([folder], tmp_path)
    assert (other / "thesis.txt").read_text() == "years of work" and len(list(folder.iterdir())) == 3


def test_an_earlier_capture_is_replaced_whole_or_not_at_all(photo_folder: PhotoFolder, tmp_path: Path) -> None:
    out = tmp_path / "frames"
    first = ingest([photo_folder(4)], out).capture
    with pytest.raises(InputError):
        ingest([photo_folder(1, folder="one")], out)
    assert load_capture(out) == first

    def interrupt(event: object) -> None:
        if isinstance(event, Progressed) and event.detail.startswith("wrote"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest([photo_folder(2, folder="two")], out, on_event=interrupt)
    assert load_capture(out) == first and [p.name for p in tmp_path.iterdir() if "frames" in p.name] == ["frames"]
    assert len(ingest([photo_folder(3, folder="three")], out).capture.frames) == 3
    assert len(list((out / "images").iterdir())) == 3


@pytest.mark.parametrize("config", [{"max_frames": 1}, {"min_frames": 0}, {"video_format": "gif"}])
def test_impossible_configs_are_refused(config: dict[str, int]) -> None:
    with pytest.raises(InputError):
        IngestConfig(**config)  # type: ignore[arg-type]


def test_natural_order() -> None:
    given = [Path(p) for p in ("b10", "b9", "a/x2", "a/x10", "b")]
    assert [p.as_posix() for p in sorted(given, key=natural_key)] == ["a/x2", "a/x10", "b", "b9", "b10"]


@pytest.mark.parametrize(
    ("place", "count", "focal"),
    [("brighton_beach", 18, 888.9), ("banana", 16, 2666.7), ("lund_door", 12, 2315.4)],
)
def test_real_photos(footage: Path, place: str, count: int, focal: float, tmp_path: Path) -> None:
    capture = ingest([footage / "photos" / place], tmp_path / "frames").capture
    assert len(capture.frames) == count and not capture.rejected and len(capture.cameras) == 1
    assert capture.has_prior[1] and capture.cameras[1].params[0] == pytest.approx(focal, abs=0.1)
    assert all((f.exif.gps is not None) == (place == "brighton_beach") for f in capture.frames)
    if place == "banana":  # the one photo of the set that is out of focus
        assert capture.warnings == ("1 photo(s) look blurred beside their neighbours: DSC_0433.JPG.",)


def test_real_photos_recoded_and_resized_are_copies(footage: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("DSC_0423", "DSC_0432", "DSC_0436"):
        shutil.copy(footage / "photos" / "banana" / "images" / f"{name}.JPG", folder)
    with Image.open(folder / "DSC_0432.JPG") as image:
        image.resize((533, 354)).save(folder / "small.jpg", quality=60)
        image.crop((4, 0, 1600, 1064)).save(folder / "stepped.jpg", quality=90)  # a quarter of a percent to the side
    capture = ingest([folder], tmp_path / "frames").capture
    assert [(r.name, r.reason) for r in capture.rejected] == [("small.jpg", "the same picture as DSC_0432.JPG")]
