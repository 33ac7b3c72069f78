"""Video: turned, timed and coloured as its file says; broken files in one sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diorama.capture import Capture, InputError, Warned, ingest
from diorama.capture.tonemap import (
    REFERENCE_WHITE,
    Transfer,
    curve,
    hlg_to_scene,
    linear_to_srgb,
    pq_to_light,
    srgb_to_linear,
    to_srgb8,
)
from diorama.capture.video import Decoding, decode, to_srgb

Window = Callable[..., np.ndarray]
Write = Callable[..., Path]


def pan(window: Window, count: int, step: int = 12, **size: int) -> Iterator[np.ndarray]:
    return (window(i * step, 2 * i, **size) for i in range(count))


def frames_of(path: Path) -> list[np.ndarray]:
    return [to_srgb(frame) for _, _, frame in decode(path, Decoding())]


def turn_header(path: Path, matrix: tuple[int, int, int, int]) -> None:
    """Write a display matrix (a, b, c, d) into an MP4's track header (ISO 14496-12, 8.3.2)."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    for i, value in zip((0, 1, 3, 4), matrix, strict=True):
        data[at + 4 * i : at + 4 * i + 4] = (value * 65536).to_bytes(4, "big", signed=True)
    path.write_bytes(bytes(data))


@pytest.mark.parametrize(
    ("matrix", "quarters_clockwise"), [((1, 0, 0, 1), 0), ((0, 1, -1, 0), 1), ((-1, 0, 0, -1), 2), ((0, -1, 1, 0), 3)]
)
def test_the_display_matrix_sets_frames_upright(
    tmp_path: Path, window: Window, write_video: Write, matrix: tuple[int, int, int, int], quarters_clockwise: int
) -> None:
    """The matrix takes stored (p, q) to shown (a p + c q, b p + d q): (0, 1, -1, 0) is a quarter turn clockwise."""
    path = write_video(tmp_path / "a.mp4", pan(window, 2))
    plain = frames_of(path)[0]
    turn_header(path, matrix)
    np.testing.assert_array_equal(frames_of(path)[0], np.rot90(plain, -quarters_clockwise))


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.webm", "a.mkv"])
def test_times_are_the_files_own(tmp_path: Path, window: Window, write_video: Write, name: str) -> None:
    """Variable frame rate: the times of presentation, from the first frame on."""
    times = [500, 533, 700, 733, 1500]  # on the encoder's clock of 1/30 s
    codec = {"codec": "libvpx-vp9", "options": {"crf": "30", "b": "0", "cpu-used": "8"}} if "webm" in name else {}
    path = write_video(tmp_path / name, pan(window, 5), times_ms=times, **codec)
    found = [t for _, t, _ in decode(path, Decoding())]
    np.testing.assert_allclose(found, np.array(times) / 1000 - 0.5, atol=2e-3)


LUMA = {"bt709": (0.2126, 0.0722), "bt601": (0.299, 0.114), "bt2020": (0.2627, 0.0593)}


def coded(rgb: tuple[float, float, float], standard: str, bits: int, full: bool) -> list[int]:
    """Y, Cb and Cr of a colour by the standards' formulas."""
    (kr, kb), (r, g, b), unit = LUMA[standard], rgb, 2 ** (bits - 8)
    y = kr * r + (1 - kr - kb) * g + kb * b
    cb, cr = (b - y) / (2 * (1 - kb)), (r - y) / (2 * (1 - kr))
    if full:
        return [round(v * (2**bits - 1)) for v in (y, cb + 0.5, cr + 0.5)]
    return [round((219 * y + 16) * unit), round((224 * cb + 128) * unit), round((224 * cr + 128) * unit)]


def flat_video(
    path: Path, planes: list[int], bits: int, color: tuple[int, int, int, int], size: tuple[int, int]
) -> Path:
    """Two frames of one colour, given as planes; `color` is matrix, range, transfer, primaries (ITU-T H.273)."""
    import av

    pixels = "yuv420p" if bits == 8 else "yuv420p10le"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt, stream.options = *size, pixels, {"crf": "1"}
        context = stream.codec_context
        context.colorspace, context.color_range, context.color_trc, context.color_primaries = color
        for _ in range(2):
            frame = av.VideoFrame(*size, pixels)
            for plane, value in zip(frame.planes, planes, strict=True):
                kind = np.uint8 if bits == 8 else np.uint16
                plane.update(np.full(plane.buffer_size // np.dtype(kind).itemsize, value, kind).tobytes())
            frame.colorspace, frame.color_range, frame.color_trc, frame.color_primaries = color
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize(
    ("standard", "full", "matrix", "size"),
    [
        ("bt709", False, 1, (64, 48)),
        ("bt709", True, 1, (64, 48)),
        ("bt601", False, 6, (64, 48)),
        ("bt601", True, 5, (64, 48)),
        ("bt601", False, 2, (64, 48)),
        ("bt709", False, 2, (1280, 720)),
    ],
)
def test_colours_by_matrix_and_range(
    tmp_path: Path, standard: str, full: bool, matrix: int, size: tuple[int, int]
) -> None:
    for rgb in ((0.8, 0.2, 0.4), (0.1, 0.9, 0.3), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)):
        color = (matrix, 2 if full else 1, 2, 2)
        path = flat_video(tmp_path / "a.mp4", coded(rgb, standard, 8, full), 8, color, size)
        # 8-bit YCbCr rounds by half a step of up to 255 / 224 * 1.8 in blue.
        assert np.abs(frames_of(path)[0][20, 20] - 255 * np.array(rgb)).max() <= 2


@pytest.mark.parametrize(("transfer", "number", "white"), [("pq", 16, 0.5807), ("hlg", 18, 0.75)])
def test_hdr_reference_white_lands_where_the_curve_says(
    tmp_path: Path, transfer: Transfer, number: int, white: float
) -> None:
    """203 cd/m2 are 58 % in PQ and 75 % in HLG (ITU-R BT.2408); the curve puts them at 0.5 + 0.5 (1 - 1/e)."""
    path = flat_video(tmp_path / "a.mp4", coded((white,) * 3, "bt2020", 10, False), 10, (9, 1, number, 9), (64, 48))
    expected = 255 * float(linear_to_srgb(0.5 + 0.5 * (1 - np.exp(-1))))
    assert np.abs(frames_of(path)[0][20, 20] - expected).max() <= 2


def test_tone_mapping_by_hand() -> None:
    assert pq_to_light(0.5807) == pytest.approx(REFERENCE_WHITE, rel=0.01)
    assert 1000 * hlg_to_scene(0.75) ** 1.2 == pytest.approx(REFERENCE_WHITE, rel=0.01)
    assert pq_to_light([0, 1]).tolist() == [0, pytest.approx(10000)]
    x = np.linspace(0, 8, 1000, dtype=np.float32)
    y = curve(x)
    assert (np.diff(y) >= 0).all() and y[-1] <= 1 and np.array_equal(y[x <= 0.5], x[x <= 0.5])
    np.testing.assert_allclose(srgb_to_linear(linear_to_srgb(x[:100] / 8)), x[:100] / 8, atol=1e-6)
    # Grey stays grey in every gamut: the rows of the matrices sum to one.
    for primaries in ("bt2020", "p3", "bt709"):
        grey = to_srgb8(np.full((1, 1, 3), 30000, np.uint16), "sdr", primaries)
        assert grey.max() - grey.min() <= 1 and abs(int(grey[0, 0, 0]) - 30000 / 257) <= 1


def test_hues_stay_through_the_curve() -> None:
    rgb = (np.array([[[0.7, 0.55, 0.5]]]) * 65535).astype(np.uint16)
    linear = srgb_to_linear(to_srgb8(rgb, "pq", "bt709") / 255)[0, 0]
    light = pq_to_light(rgb[0, 0] / 65535)
    np.testing.assert_allclose(linear / linear.max(), light / light.max(), atol=0.02)  # 8 bits


def video_capture(path: Path, out: Path, warnings: list[str] | None = None) -> Capture:
    def listen(event: object) -> None:
        if warnings is not None and isinstance(event, Warned):
            warnings.append(event.message)

    return ingest([path], out, on_event=listen).capture


def picture(capture: Capture, index: int) -> np.ndarray:
    with Image.open(capture.image_path(capture.frames[index])) as image:
        return np.asarray(image)


def test_a_video_becomes_frames_with_quality(tmp_path: Path, window: Window, write_video: Write) -> None:
    path = write_video(tmp_path / "walk.mp4", pan(window, 60, step=6))
    capture = video_capture(path, tmp_path / "frames")
    assert capture.source == "video" and capture.given == 60
    assert len(capture.frames) + len(capture.rejected) == 60 and 25 <= len(capture.frames) <= 60
    for i, frame in enumerate(capture.frames):
        assert picture(capture, i).shape == (240, 320, 3)
        assert frame.quality is not None and frame.time_s == pytest.approx(int(frame.name[6:12]) / 30, abs=1e-3)
        assert (frame.quality.motion_px is None) == (i == 0)
    # 6 px of 320 a frame are 18.75 of 1000; a chosen frame lies a whole number of them on.
    motions = np.array([f.quality.motion_px for f in capture.frames[1:] if f.quality]) / (np.hypot(6, 2) * 1000 / 320)
    np.testing.assert_allclose(motions, np.rint(motions), atol=0.06)
    assert motions.max() < 4


def test_blurred_frames_are_rejected_with_their_number(tmp_path: Path, window: Window, write_video: Write) -> None:
    def shaky() -> Iterator[np.ndarray]:
        for i in range(48):
            rgb = window(200 + i * 4, 100)
            if i % 6 == 3:
                rgb = np.mean([window(200 + i * 4 + k, 100) for k in range(-6, 7)], axis=0).astype(np.uint8)
            yield rgb

    capture = video_capture(write_video(tmp_path / "shaky.mp4", shaky()), tmp_path / "frames")
    blurred = {r.name for r in capture.rejected if r.reason.startswith("blurred: sharpness 0.")}
    assert blurred == {f"frame_{i:06d}.jpg" for i in range(3, 48, 6)}


def test_png_frames_are_lossless(tmp_path: Path, window: Window, write_video: Write) -> None:
    from diorama.capture import IngestConfig

    path = write_video(tmp_path / "a.mp4", pan(window, 4, step=30))
    capture = ingest([path], tmp_path / "frames", IngestConfig(video_format="png")).capture
    assert capture.frames[0].name == "frame_000000.png"
    np.testing.assert_array_equal(picture(capture, 0), frames_of(path)[0])


def test_pixels_that_are_not_square_are_stretched(tmp_path: Path, window: Window, write_video: Write) -> None:
    path = write_video(tmp_path / "a.mp4", pan(window, 4, step=30), options={"aspect": "8:3"})
    data = bytearray(path.read_bytes())
    at = data.find(b"pasp")
    if at < 0:
        pytest.skip("this muxer writes no pixel aspect ratio")
    data[at + 4 : at + 12] = (2).to_bytes(4, "big") + (1).to_bytes(4, "big")
    path.write_bytes(bytes(data))
    capture = video_capture(path, tmp_path / "frames")
    assert picture(capture, 0).shape[1] == 640


def test_a_text_file_called_mp4(tmp_path: Path) -> None:
    path = tmp_path / "notes.mp4"
    path.write_text("shopping: bread, milk\n" * 50)
    with pytest.raises(InputError, match=r"notes\.mp4 is no video that can be read: it is a text file, not a video\.$"):
        ingest([path], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_video_cut_off_before_its_index(tmp_path: Path, window: Window, write_video: Write) -> None:
    path = write_video(tmp_path / "a.mp4", pan(window, 10))
    path.write_bytes(path.read_bytes()[:-1500])
    with pytest.raises(InputError, match="cut off before its index"):
        ingest([path], tmp_path / "out")


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_cut_off_video_that_still_decodes_is_used_with_a_warning(
    tmp_path: Path, window: Window, write_video: Write, name: str
) -> None:
    front = {"movflags": "faststart"} if name == "a.mp4" else {}
    path = write_video(tmp_path / name, pan(window, 60, step=8), container_options=front, options={"g": "10"})
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.6)])
    warnings: list[str] = []
    capture = video_capture(path, tmp_path / "out", warnings)
    assert len(capture.frames) >= 2 and 20 <= capture.given < 60
    assert any("cut off or damaged" in w and f"{capture.given}" in w for w in warnings), warnings
    assert capture.warnings == tuple(warnings)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("empty.mp4", b""),
        ("noise.mp4", bytes(np.random.default_rng(0).integers(0, 255, 5000, dtype=np.uint8))),
        ("list.mp4", b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/hostname\n"),
        ("concat.mp4", b"ffconcat version 1.0\nfile /etc/hostname\n"),
        ("box.mp4", b"\0\0\0\1ftypisom" + bytes(20)),
    ],
)
def test_files_that_are_no_videos(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match="is no video that can be read"):
        ingest([tmp_path / name], tmp_path / "out")


def test_a_video_that_never_moves(tmp_path: Path, window: Window, write_video: Write) -> None:
    path = write_video(tmp_path / "still.mp4", (window(0, 0) for _ in range(20)))
    with pytest.raises(InputError, match="never moves"):
        ingest([path], tmp_path / "out")


def test_hdr_is_told(tmp_path: Path, window: Window, write_video: Write) -> None:
    path = write_video(tmp_path / "a.mov", pan(window, 6, step=20), pixels="yuv420p10le", color=(9, 1, 18, 9))
    warnings: list[str] = []
    video_capture(path, tmp_path / "out", warnings)
    assert warnings == ["a.mov is HDR video (HLG); it was tone-mapped to sRGB."]


def test_interlaced_video_is_told(tmp_path: Path, window: Window, write_video: Write) -> None:
    path = write_video(tmp_path / "a.mkv", pan(window, 6, step=20), options={"x264-params": "interlaced=1"})
    warnings: list[str] = []
    video_capture(path, tmp_path / "out", warnings)
    assert len(warnings) == 1 and "interlaced" in warnings[0]


def test_nothing_is_held_in_memory(tmp_path: Path, window: Window, write_video: Write) -> None:
    """Twice the frames, the same peak: only numbers are kept of each."""
    import tracemalloc

    from diorama.capture.events import ignore
    from diorama.capture.notes import Notes
    from diorama.capture.video_ingest import analyse

    peaks = []
    for count in (30, 60):
        path = write_video(tmp_path / f"{count}.mp4", pan(window, count, step=5), options={"preset": "ultrafast"})
        tracemalloc.start()
        analyse(path, Notes(ignore))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 30 * 76_800  # a small picture is 76,800 bytes


def test_real_videos(footage: Path, tmp_path: Path) -> None:
    """Thinned already, a large step from frame to frame: nearly every frame is needed."""
    sign = video_capture(footage / "video" / "stone_sign.mp4", tmp_path / "sign")
    assert sign.given == 83 and len(sign.frames) >= 60
    warnings: list[str] = []
    park = video_capture(footage / "video" / "drone_park_01.mp4", tmp_path / "park", warnings)
    assert park.given == 37 and len(park.frames) >= 35
    # The clip does jump, at frames 11, 19 and 29: the drone has turned round.
    overlaps = {f.name: f.quality.overlap for f in park.frames if f.quality and f.quality.motion_px is None}
    assert overlaps == {park.frames[0].name: None, **{f"frame_0000{i}.jpg": 0.0 for i in (11, 19, 29)}}
    assert any("jumps at 0.4 s, 0.8 s, 1.2 s" in w for w in warnings)
