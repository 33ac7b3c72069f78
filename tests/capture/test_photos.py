"""Photos of every kind become upright 8-bit sRGB, and files that cannot say why."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from diorama.capture import photos
from diorama.capture.photos import UnreadableError, decode_photo


def quarters(width: int = 64, height: int = 32) -> Image.Image:
    """Red upper left, green upper right, blue lower left, white lower right."""
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[: height // 2, : width // 2] = (200, 0, 0)
    rgb[: height // 2, width // 2 :] = (0, 200, 0)
    rgb[height // 2 :, : width // 2] = (0, 0, 200)
    rgb[height // 2 :, width // 2 :] = (200, 200, 200)
    return Image.fromarray(rgb)


def corners(rgb: np.ndarray) -> list[str]:
    """Colours of the four corners, row by row."""
    names = {(1, 0, 0): "red", (0, 1, 0): "green", (0, 0, 1): "blue", (1, 1, 1): "white"}
    return [names[tuple((rgb[y, x] > 100).astype(int).tolist())] for y in (4, -5) for x in (4, -5)]


# By EXIF's definition: orientation n means stored row 0 and column 0 are which sides of the upright picture.
UPRIGHT = ["red", "green", "blue", "white"]
STORED = {
    1: UPRIGHT,
    2: ["green", "red", "white", "blue"],
    3: ["white", "blue", "green", "red"],
    4: ["blue", "white", "red", "green"],
    5: ["red", "blue", "green", "white"],
    6: ["green", "white", "red", "blue"],
    7: ["white", "green", "blue", "red"],
    8: ["blue", "red", "white", "green"],
}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_sets_a_picture_upright(tmp_path: Path, orientation: int) -> None:
    upright = np.asarray(quarters())
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    assert corners(stored) == STORED[orientation]
    exif = Image.Exif()
    exif[274] = orientation
    path = tmp_path / "a.jpg"
    Image.fromarray(np.ascontiguousarray(stored)).save(path, quality=95, exif=exif)
    decoded = decode_photo(path)
    assert corners(decoded.rgb) == UPRIGHT and decoded.full_size_px == (64, 32)
    assert decoded.keeps_file == (orientation == 1)
    assert corners(decode_photo(path, turn=False).rgb) == STORED[orientation]


@pytest.mark.parametrize(
    ("name", "mode", "options"),
    [
        ("a.png", "RGB", {}),
        ("a.png", "L", {}),
        ("a.png", "P", {}),
        ("a.png", "1", {}),
        ("a.png", "LA", {}),
        ("a.tif", "RGB", {"compression": "tiff_lzw"}),
        ("a.tif", "CMYK", {}),
        ("a.tiff", "L", {}),
        ("a.webp", "RGB", {"lossless": True}),
        ("a.jpg", "CMYK", {"quality": 95}),
        ("a.jpg", "L", {"quality": 95}),
        ("a.heic", "RGB", {"quality": 95}),
    ],
)
def test_formats_and_modes(tmp_path: Path, name: str, mode: str, options: dict[str, object]) -> None:
    if name.endswith("heic"):
        import pillow_heif

        pillow_heif.register_heif_opener()
    image = quarters(128, 64)
    if mode != "RGB":
        image = image.convert("L").convert(mode) if mode in ("LA", "1") else image.convert(mode)
    image.save(tmp_path / name, **options)
    decoded = decode_photo(tmp_path / name)
    expected = np.asarray(image.convert("L" if mode == "LA" else mode).convert("RGB")).astype(int)
    assert decoded.rgb.dtype == np.uint8 and decoded.rgb.shape == (64, 128, 3)
    # Lossy formats ring at the edges between quarters: compare the medians of the four.
    for y in (slice(0, 30), slice(34, 64)):
        for x in (slice(0, 60), slice(68, 128)):
            difference = np.median(decoded.rgb[y, x].astype(int) - expected[y, x], axis=(0, 1))
            assert np.abs(difference).max() <= 3


def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    deep = (np.arange(64 * 32, dtype=np.uint16) * 32).reshape(32, 64)
    Image.fromarray(deep).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(decode_photo(tmp_path / "grey.png").rgb[..., 0], deep >> 8)
    assert not decode_photo(tmp_path / "grey.png").keeps_file


def test_alpha_comes_apart(tmp_path: Path) -> None:
    rgba = np.zeros((32, 64, 4), np.uint8)
    rgba[..., 0] = 200
    rgba[:, :32, 3] = 255
    Image.fromarray(rgba).save(tmp_path / "a.png")
    decoded = decode_photo(tmp_path / "a.png")
    assert decoded.alpha is not None and not decoded.keeps_file
    assert decoded.alpha[0, [0, 63]].tolist() == [255, 0] and (decoded.rgb == [200, 0, 0]).all()
    Image.fromarray(rgba[:, :32]).save(tmp_path / "b.png")
    assert decode_photo(tmp_path / "b.png").alpha is None  # opaque everywhere


def test_palette_transparency_is_alpha(tmp_path: Path) -> None:
    image = quarters().convert("P", palette=Image.Palette.ADAPTIVE, colors=4)
    hidden = image.getpixel((0, 0))
    image.save(tmp_path / "a.png", transparency=hidden)
    alpha = decode_photo(tmp_path / "a.png").alpha
    assert alpha is not None and alpha[0, 0] == 0 and alpha[0, 63] == 255


def test_an_embedded_profile_is_applied(tmp_path: Path) -> None:
    """A profile of linear light: what it calls mid grey is not sRGB's."""
    icc = _linear_rgb_profile()
    Image.new("RGB", (32, 32), (128, 128, 128)).save(tmp_path / "linear.png", icc_profile=icc)
    decoded = decode_photo(tmp_path / "linear.png")
    # Linear 128/255 is 0.502, which sRGB codes as 1.055 * 0.502^(1/2.4) - 0.055 = 0.736 = 188.
    assert np.abs(decoded.rgb.astype(int) - 188).max() <= 2 and not decoded.keeps_file
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.new("RGB", (32, 32), (128, 128, 128)).save(tmp_path / "srgb.png", icc_profile=srgb)
    assert decode_photo(tmp_path / "srgb.png").keeps_file
    Image.new("RGB", (32, 32), (128, 128, 128)).save(tmp_path / "broken.png", icc_profile=b"nonsense")
    assert (decode_photo(tmp_path / "broken.png").rgb == 128).all()


def _linear_rgb_profile() -> bytes:
    """An ICC v2 display profile with sRGB's primaries and a gamma of 1, written by hand."""

    def fixed(values: tuple[float, ...]) -> bytes:
        return b"".join(round(v * 65536).to_bytes(4, "big", signed=True) for v in values)

    def xyz(*values: float) -> bytes:
        return b"XYZ \0\0\0\0" + fixed(values)

    text = b"desc\0\0\0\0" + (7).to_bytes(4, "big") + b"linear\0" + bytes(4 + 4 + 2 + 1 + 67)
    gamma = b"curv\0\0\0\0" + (1).to_bytes(4, "big") + (256).to_bytes(2, "big") + bytes(2)
    parts = {
        b"desc": text + bytes(-len(text) % 4),
        b"wtpt": xyz(0.9642, 1.0, 0.8249),
        b"rXYZ": xyz(0.4361, 0.2225, 0.0139),
        b"gXYZ": xyz(0.3851, 0.7169, 0.0971),
        b"bXYZ": xyz(0.1431, 0.0606, 0.7141),
        b"rTRC": gamma,
        b"gTRC": gamma,
        b"bTRC": gamma,
    }
    at = 128 + 4 + 12 * len(parts)
    table, body = len(parts).to_bytes(4, "big"), b""
    for tag, part in parts.items():
        table += tag + (at + len(body)).to_bytes(4, "big") + len(part).to_bytes(4, "big")
        body += part
    size = 128 + len(table) + len(body)
    header = size.to_bytes(4, "big") + bytes(4) + b"\x02\x10\0\0mntrRGB XYZ " + bytes(12) + b"acsp" + bytes(28)
    header += fixed((0.9642, 1.0, 0.8249))
    return header + bytes(128 - len(header)) + table + body


def test_small_decoding_says_the_full_size(tmp_path: Path) -> None:
    quarters(4000, 2000).save(tmp_path / "a.jpg")
    decoded = decode_photo(tmp_path / "a.jpg", about_px=960)
    assert decoded.full_size_px == (4000, 2000) and 960 <= decoded.rgb.shape[1] <= 1000
    assert corners(decoded.rgb) == UPRIGHT


def test_files_that_cannot_be_read_say_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(whole, "JPEG")
    cases = {
        "cut.jpg": whole.getvalue()[: len(whole.getvalue()) // 2],
        "text.jpg": b"hello",
        "empty.png": b"",
        "script.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
        "raw.nef": b"II*\0hello",
        "heif.heic": b"\0\0\0\x18ftypheic\0\0\0\0heicmif1",
    }
    for name, data in cases.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UnreadableError, match=r"cannot be (read|developed)"):
            decode_photo(tmp_path / name)
    quarters(8, 8).save(tmp_path / "tiny.png")
    with pytest.raises(UnreadableError, match="only 8x8"):
        decode_photo(tmp_path / "tiny.png")
    monkeypatch.setattr(photos, "MAX_PIXELS", 1000)
    quarters().save(tmp_path / "large.png")
    with pytest.raises(UnreadableError, match="64x32 pixels, more than"):
        decode_photo(tmp_path / "large.png")


def test_a_decompression_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    """A PNG of 60,000 by 60,000 black pixels in one bit is 430 KB; decoded as RGB it would be 10 GB."""
    import tracemalloc
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    side = (60_000).to_bytes(4, "big")
    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(bytes(7501)) for _ in range(60_000)) + packer.flush()
    bomb = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", side + side + b"\1\0\0\0\0") + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )
    (tmp_path / "bomb.png").write_bytes(bomb)
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableError, match="60000x60000 pixels"):
            decode_photo(tmp_path / "bomb.png")
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def write_dng(path: Path, orientation: int) -> None:
    """A camera RAW file by hand (DNG 1.4): a 128x96 mosaic, left half red, right half green, 35 mm lens."""
    height, width = 96, 128
    rgb = np.zeros((height, width, 3))
    rgb[:, : width // 2], rgb[:, width // 2 :] = (0.6, 0.1, 0.1), (0.1, 0.6, 0.1)
    mosaic = np.zeros((height, width), "<u2")
    for y, x, channel in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
        mosaic[y::2, x::2] = rgb[y::2, x::2, channel] * 65535
    short, long, ascii_, byte, ratio, signed = 3, 4, 2, 1, 5, 10
    kinds = {short: "<u2", long: "<u4", byte: "<u1", ratio: "<u4", signed: "<i4"}
    identity = [v for i in range(9) for v in (int(i % 4 == 0), 1)]

    def table(rows: list[tuple[int, int, object]], start: int) -> bytes:
        head, extra = len(rows).to_bytes(2, "little"), b""
        free = start + 2 + 12 * len(rows) + 4
        for tag, kind, value in rows:
            raw = value if isinstance(value, bytes) else np.array(value, kinds[kind]).tobytes()
            size = {short: 2, long: 4, ascii_: 1, byte: 1, ratio: 8, signed: 8}[kind]
            head += tag.to_bytes(2, "little") + kind.to_bytes(2, "little") + (len(raw) // size).to_bytes(4, "little")
            head += raw.ljust(4, b"\0") if len(raw) <= 4 else (free + len(extra)).to_bytes(4, "little")
            extra += raw + bytes(len(raw) % 2) if len(raw) > 4 else b""
        return head + bytes(4) + extra

    def main(photo_at: int, data_at: int) -> bytes:
        rows: list[tuple[int, int, object]] = [
            (254, long, [0]), (256, long, [width]), (257, long, [height]), (258, short, [16]), (259, short, [1]),
            (262, short, [32803]), (271, ascii_, b"Test\0"), (272, ascii_, b"Cam\0"), (273, long, [data_at]),
            (274, short, [orientation]), (277, short, [1]), (278, long, [height]), (279, long, [mosaic.nbytes]),
            (33421, short, [2, 2]), (33422, byte, [0, 1, 1, 2]), (34665, long, [photo_at]), (50706, byte, [1, 4, 0, 0]),
            (50708, ascii_, b"Test Cam\0"), (50717, long, [65535]), (50721, signed, identity),
            (50728, ratio, [1] * 6), (50778, short, [21]),
        ]  # fmt: skip
        return table(rows, 8)

    photo_at = 8 + len(main(0, 0))
    photo = table([(33434, ratio, [1, 100]), (37386, ratio, [35, 1]), (41989, short, [50])], photo_at)
    data_at = photo_at + len(photo)
    path.write_bytes(b"II*\0\x08\0\0\0" + main(photo_at, data_at) + photo + mosaic.tobytes())


@pytest.mark.parametrize(("orientation", "size"), [(1, (128, 96)), (6, (96, 128))])
def test_camera_raw_is_developed_upright(tmp_path: Path, orientation: int, size: tuple[int, int]) -> None:
    write_dng(tmp_path / "a.dng", orientation)
    decoded = decode_photo(tmp_path / "a.dng")
    assert decoded.full_size_px == size == decoded.rgb.shape[1::-1] and not decoded.keeps_file
    red, green = ((20, 20), (-20, -20)) if orientation == 1 else ((20, -20), (-20, 20))  # a quarter turn clockwise
    assert decoded.rgb[red].argmax() == 0 and decoded.rgb[green].argmax() == 1
    exif = decoded.reading.exif
    assert (exif.make, exif.model, exif.focal_mm, exif.focal_35mm, exif.exposure_s) == ("Test", "Cam", 35, 50, 0.01)
    assert decoded.reading.orientation == 1
    small = decode_photo(tmp_path / "a.dng", about_px=64)
    assert small.full_size_px == size and max(small.rgb.shape) == 64
