"""Image files: checksums, checks, and decoding to pixels in red, green and blue.

Images are decoded nowhere else, so that encoding and training see the same pixels.
"""

import hashlib
import struct
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from beir_hybrid.errors import BadData, MissingExtra

if TYPE_CHECKING:
    from PIL import Image

# Pillow's own limit, from which it warns: a small file may claim to be a huge image.
MAX_PIXELS = 89_478_485
# Other formats that Pillow can read are documents, fonts' bitmaps and the like.
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "PPM", "JPEG2000", "AVIF")
_ORIENTATION_TAG = 0x0112
# Modes whose conversion is worth a word, and those that convert without one.
_ODD_MODES = {
    "CMYK": "CMYK", "P": "palette", "PA": "palette", "1": "grey", "L": "grey", "LA": "grey"
}  # fmt: skip
_CONVERTIBLE_MODES = {"RGB", "RGBA", "RGBX", "YCbCr", "LAB", "HSV", *_ODD_MODES}


class ImageFacts(NamedTuple):
    """The checksum of an image file that can be decoded, and its oddities.

    Oddities name the steps of `open_image` beside decoding: "CMYK", "palette", "grey", "16 bits",
    "transparent" (white shows behind it), "animated: first frame", "turned" (by its EXIF data) and
    "broken EXIF" (which is ignored).
    """

    sha256: str
    oddities: tuple[str, ...]


def inspect_image(path: Path) -> ImageFacts:
    """Return the checksum and oddities of an image; raise `BadData` if decoding fails."""
    data = _read_bytes(path)
    _, oddities = _decode(data, path)
    return ImageFacts(hashlib.sha256(data).hexdigest(), oddities)


def open_image(path: str | Path) -> "Image.Image":
    """Decode an image to RGB as a screen shows the image.

    It is turned as its EXIF data say, stands on white where it is transparent, and is the first
    frame of an animation.
    """
    return _decode(_read_bytes(Path(path)), Path(path))[0]


def _read_bytes(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise BadData(f"{path} is a folder, not an image")
        if not path.is_file():
            raise BadData(f"there is no image {path}")
        data = path.read_bytes()
    except (OSError, ValueError) as error:  # no right to read it; a NUL in its name
        raise BadData(f"the image {str(path)!r} cannot be read: {error}") from error
    if not data:
        raise BadData(f"the image {path} is empty: 0 bytes")
    return data


def _decode(data: bytes, path: Path) -> "tuple[Image.Image, tuple[str, ...]]":
    """Return the pixels of an image and its oddities."""
    _load_decoders()
    try:
        return _convert_to_rgb(_read_header(data))
    except BadData as error:
        raise BadData(f"the image {path} {error}") from error
    except Exception as error:  # decoders raise anything on damaged files
        reason = str(error) or type(error).__name__
        raise BadData(f"the image {path} is damaged or truncated: {reason}") from error


def _load_decoders() -> None:
    """Register all decoders of Pillow."""
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtra("images need Pillow: pip install 'beir-hybrid[image]'") from error
    Image.init()


def _read_header(data: bytes) -> "Image.Image":
    """Open an image without decoding its pixels.

    `Image.open` would do, but warns of large images, and its warning cannot be silenced alone.
    """
    from PIL import Image

    for name in FORMATS:
        factory, accept = Image.OPEN.get(name, (None, None))
        # A text instead of True says why a file of the format cannot be read.
        if factory and (accept is None or accept(data[:16]) is True):
            try:
                image = factory(BytesIO(data), "")
            except (SyntaxError, IndexError, TypeError, struct.error):
                continue  # `Image.open` tries the next format after these errors, too
            width, height = image.size
            if width * height > MAX_PIXELS:
                size = f"{width:,} x {height:,} pixels, more than {MAX_PIXELS:,}"
                raise BadData(f"is too large: {size}; make it smaller")
            return image
    raise BadData(f"is of no format that can be read here: {', '.join(FORMATS)}")


def _convert_to_rgb(image: "Image.Image") -> "tuple[Image.Image, tuple[str, ...]]":
    """Decode an image for `open_image`, and list its oddities."""
    oddities = []
    if getattr(image, "is_animated", False):
        oddities.append("animated: first frame")
    image.load()
    turn, is_readable = _find_turn(image)
    if not is_readable:
        oddities.append("broken EXIF")
    if image.mode.startswith("I;16"):
        oddities.append("16 bits")
        image = _reduce_to_8_bits(image)
    if image.mode not in _CONVERTIBLE_MODES:
        raise BadData(f"has pixels of a kind that no screen shows: mode {image.mode}")
    if image.mode in _ODD_MODES:
        oddities.append(_ODD_MODES[image.mode])
    if image.has_transparency_data:
        image, is_transparent = _put_on_white(image)
        oddities += ["transparent"] * is_transparent
    if image.mode != "RGB":
        image = image.convert("RGB")
    if turn is not None:
        oddities.append("turned")
        image = image.transpose(turn)
    return image, tuple(oddities)


def _find_turn(image: "Image.Image") -> "tuple[Image.Transpose | None, bool]":
    """Read the turn that the EXIF data ask for, and whether they can be read."""
    from PIL.Image import Transpose

    try:
        orientation = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # noqa: BLE001 - damaged data may raise anything; the pixels are sound
        return None, False
    turns = (
        *(None, None, Transpose.FLIP_LEFT_RIGHT, Transpose.ROTATE_180, Transpose.FLIP_TOP_BOTTOM),
        *(Transpose.TRANSPOSE, Transpose.ROTATE_270, Transpose.TRANSVERSE, Transpose.ROTATE_90),
    )
    is_valid = isinstance(orientation, int) and 0 <= orientation < len(turns)
    return turns[orientation] if is_valid else None, True


def _reduce_to_8_bits(image: "Image.Image") -> "Image.Image":
    """Keep the upper half of 16 bits; Pillow's own conversion makes all but the darkest white."""
    import numpy as np
    from PIL import Image

    return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))


def _put_on_white(image: "Image.Image") -> "tuple[Image.Image, bool]":
    """Return an image on a white ground, and whether any of the ground shows."""
    from PIL import Image

    layer = image.convert("RGBA")
    if layer.getchannel("A").getextrema() == (255, 255):
        return layer.convert("RGB"), False
    ground = Image.new("RGBA", layer.size, "white")
    return Image.alpha_composite(ground, layer).convert("RGB"), True
