"""Images of every mode and format are decoded to RGB as people see them, or refused."""

import hashlib
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from beir_hybrid.errors import BadData
from beir_hybrid.images import FORMATS, MAX_PIXELS, inspect_image, open_image

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
Pixel = tuple[int, ...]
TOO_MANY = "pixels, more than 89,478,485; make it smaller"
WITHOUT_PILLOW = """
import sys
from pathlib import Path
sys.modules["PIL"] = None
from beir_hybrid.errors import MissingExtra
from beir_hybrid.images import inspect_image
try:
    inspect_image(Path(sys.argv[1]))
except MissingExtra as error:
    print(error)
"""


def make_image(mode: str, *rows: list[Pixel]) -> Image.Image:
    """Return an image of some rows of pixels."""
    image = Image.new(mode, (len(rows[0]), len(rows)))
    for y, row in enumerate(rows):
        for x, pixel in enumerate(row):
            image.putpixel((x, y), pixel)
    return image


def pixels(path: Path) -> list[list[Pixel]]:
    image = open_image(path)
    assert image.mode == "RGB"
    rows = []
    for y in range(image.height):
        row = []
        for x in range(image.width):
            pixel = image.getpixel((x, y))
            assert isinstance(pixel, tuple)
            row.append(pixel)
        rows.append(row)
    return rows


def png(width: int, height: int) -> bytes:
    """Return a small file whose header says that it is an image of that size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + header + data + chunk(b"IEND", b"")


def test_a_plain_image_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "plain.png"
    make_image("RGB", [(1, 2, 3), (250, 0, 7)]).save(path)
    assert pixels(path) == [[(1, 2, 3), (250, 0, 7)]]
    assert inspect_image(path) == (hashlib.sha256(path.read_bytes()).hexdigest(), ())
    assert open_image(str(path)).tobytes() == bytes([1, 2, 3, 250, 0, 7])


def test_inks_become_light(tmp_path: Path) -> None:
    # Full yellow and magenta ink is red; half black alone is the grey that is left of 255.
    make_image("CMYK", [(0, 255, 255, 0), (0, 0, 0, 128)]).save(tmp_path / "inks.tif")
    assert pixels(tmp_path / "inks.tif") == [[RED, (127, 127, 127)]]
    assert inspect_image(tmp_path / "inks.tif").oddities == ("CMYK",)
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "inks.jpg", quality=100)
    assert inspect_image(tmp_path / "inks.jpg").oddities == ("CMYK",)
    assert pixels(tmp_path / "inks.jpg")[4][4][0] > 250


def test_a_palette_has_white_behind_what_is_transparent(tmp_path: Path) -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([9, 9, 9, 255, 0, 0, 0, 0, 255])
    for x in range(3):
        image.putpixel((x, 0), x)
    image.save(tmp_path / "opaque.png")
    image.save(tmp_path / "clear.png", transparency=0)
    # The second colour half transparent: 255 of red stay, of green and blue comes 255 - 128.
    image.save(tmp_path / "half.png", transparency=bytes([255, 128, 255]))
    assert pixels(tmp_path / "opaque.png") == [[(9, 9, 9), RED, BLUE]]
    assert pixels(tmp_path / "clear.png") == [[WHITE, RED, BLUE]]
    assert pixels(tmp_path / "half.png") == [[(9, 9, 9), (255, 127, 127), BLUE]]
    assert [
        inspect_image(tmp_path / f"{name}.png").oddities for name in ("opaque", "clear", "half")
    ] == [
        ("palette",),
        ("palette", "transparent"),
        ("palette", "transparent"),
    ]


def test_transparency_shows_white_and_is_said_only_where_it_shows(tmp_path: Path) -> None:
    make_image("RGBA", [(255, 0, 0, 128), (0, 255, 0, 0), (0, 0, 255, 255)]).save(
        tmp_path / "a.png"
    )
    make_image("RGBA", [(255, 0, 0, 255)]).save(tmp_path / "b.png")
    # One shade of grey is declared transparent.
    make_image("L", [(7,), (200,)]).save(tmp_path / "c.png", transparency=7)
    assert pixels(tmp_path / "a.png") == [[(255, 127, 127), WHITE, BLUE]]
    assert pixels(tmp_path / "b.png") == [[RED]]
    assert pixels(tmp_path / "c.png") == [[WHITE, (200, 200, 200)]]
    assert [inspect_image(tmp_path / f"{name}.png").oddities for name in "abc"] == [
        ("transparent",),
        (),
        ("grey", "transparent"),
    ]


@pytest.mark.parametrize("name", ["frames.gif", "frames.png", "frames.webp"])
def test_the_first_frame_stands_for_an_animation(tmp_path: Path, name: str) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in (RED, BLUE, GREEN)]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], lossless=True)
    assert pixels(tmp_path / name) == [[RED] * 4] * 4
    assert inspect_image(tmp_path / name).oddities[0] == "animated: first frame"


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [
        # What EXIF says of the first row and the first column: which side of the image they are.
        (1, "ab cd"),  # top, left
        (2, "ba dc"),  # top, right
        (3, "dc ba"),  # bottom, right
        (4, "cd ab"),  # bottom, left
        (5, "ac bd"),  # left, top
        (6, "ca db"),  # right, top
        (7, "db ca"),  # right, bottom
        (8, "bd ac"),  # left, bottom
        (9, "ab cd"),  # no orientation
    ],
)
def test_images_are_turned_as_they_say(tmp_path: Path, orientation: int, expected: str) -> None:
    colours = {"a": RED, "b": GREEN, "c": BLUE, "d": WHITE}
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.png"
    make_image("RGB", [RED, GREEN], [BLUE, WHITE]).save(path, exif=exif)
    assert pixels(path) == [[colours[name] for name in row] for row in expected.split()]
    assert inspect_image(path).oddities == (("turned",) if 1 < orientation < 9 else ())


def test_an_image_with_broken_exif_data_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "broken.png"
    make_image("RGB", [RED, GREEN]).save(path, exif=b"Exif\x00\x00no such thing")
    assert pixels(path) == [[RED, GREEN]]
    assert inspect_image(path).oddities == ("broken EXIF",)


def test_sixteen_bits_keep_their_shades(tmp_path: Path) -> None:
    image = Image.new("I;16", (3, 1))
    for x, value in enumerate((0, 100 * 256 + 255, 65535)):
        image.putpixel((x, 0), value)
    image.save(tmp_path / "deep.png")
    assert pixels(tmp_path / "deep.png") == [[(0, 0, 0), (100, 100, 100), WHITE]]
    assert inspect_image(tmp_path / "deep.png").oddities == ("16 bits", "grey")


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("name", ["noise.jpg", "noise.png", "noise.gif", "noise.webp", "noise.tif"])
def test_a_truncated_image_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    Image.effect_noise((64, 64), 90).convert("RGB").save(path)
    inspect_image(path)
    _truncate(path)
    for read in (inspect_image, open_image):
        with pytest.raises(BadData) as error:
            read(path)
        assert str(error.value).startswith(f"the image {path} is ")
        assert "\n" not in str(error.value)


def _folder(path: Path) -> None:
    path.mkdir()


def _huge(width: int, height: int) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(png(width, height))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda _: None, "there is no image {}"),
        (_folder, "{} is a folder, not an image"),
        (lambda path: path.write_bytes(b""), "the image {} is empty: 0 bytes"),
        (
            lambda path: path.write_text("A cat\n"),
            f"the image {{}} is of no format that can be read here: {', '.join(FORMATS)}",
        ),
        # Pillow itself would warn of the first, and refuse the second.
        (
            _huge(10_000, 10_000),
            f"the image {{}} is too large: 10,000 x 10,000 {TOO_MANY}",
        ),
        (
            _huge(60_000, 50_000),
            f"the image {{}} is too large: 60,000 x 50,000 {TOO_MANY}",
        ),
        (
            lambda path: Image.new("F", (1, 1), 0.5).save(path, "TIFF"),
            "the image {} has pixels of a kind that no screen shows: mode F",
        ),
    ],
    ids=["missing", "folder", "empty", "text", "large", "huge", "floats"],
)
def test_a_file_that_is_no_usable_image_is_refused(
    tmp_path: Path, make: Callable[[Path], object], message: str
) -> None:
    path = tmp_path / "x.png"
    make(path)
    for read in (inspect_image, open_image):
        with pytest.raises(BadData) as error:
            read(path)
        assert str(error.value) == message.format(path)


def test_pillows_own_limit_stays_as_it_is() -> None:
    assert Image.MAX_IMAGE_PIXELS == MAX_PIXELS


def test_a_nul_in_a_name_is_named() -> None:
    with pytest.raises(BadData, match=r"^there is no image a\x00b.png$"):
        open_image("a\x00b.png")


def test_the_extra_is_named_where_it_is_missing(tmp_path: Path) -> None:
    make_image("RGB", [RED]).save(tmp_path / "a.png")
    command = [sys.executable, "-c", WITHOUT_PILLOW, str(tmp_path / "a.png")]
    process = subprocess.run(command, capture_output=True, text=True, check=True)
    assert process.stdout == "images need Pillow: pip install 'beir-hybrid[image]'\n"
