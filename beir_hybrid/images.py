"""A picture's file in, its checksum and oddities, or its pixels in red, green and blue, out.

The one place where pictures are decoded, for encoding and training alike.
"""

import hashlib
import struct
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from beir_hybrid.errors import BadData, MissingExtra

if TYPE_CHECKING:
    from PIL import Image

# Pillow's own limit, from which it warns: a small file may say that it is a huge picture.
LIMIT = 89_478_485
# What Pillow can read beside these are documents, fonts' bitmaps and the like.
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "PPM", "JPEG2000", "AVIF")
_ORIENTATION = 0x0112
# Modes whose conversion is worth a word, and those that convert as they are.
_ODD = {"CMYK": "CMYK", "P": "palette", "PA": "palette", "1": "grey", "L": "grey", "LA": "grey"}
_PLAIN = {"RGB", "RGBA", "RGBX", "YCbCr", "LAB", "HSV", *_ODD}


class ImageFacts(NamedTuple):
    """What is known of a picture that can be decoded: its file's checksum, and what is odd.

    Oddities say what `opened` does beside decoding: "CMYK", "palette", "grey", "16 bits",
    "transparent" (white shows behind it), "animated: first frame", "turned" (by its EXIF data) and
    "broken EXIF" (which is not heeded).
    """

    sha256: str
    oddities: tuple[str, ...]


def inspect_image(path: Path) -> ImageFacts:
    """Return what is known of a picture, or raise `BadData` if it cannot be decoded whole."""
    data = _bytes(path)
    _, oddities = _decoded(data, path)
    return ImageFacts(hashlib.sha256(data).hexdigest(), oddities)


def open_image(path: str | Path) -> "Image.Image":
    """Return a picture in RGB as people see it.

    It is turned as its EXIF data say, stands on white where it is transparent, and is the first
    frame of an animation.
    """
    return _decoded(_bytes(Path(path)), Path(path))[0]


def _bytes(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise BadData(f"{path} is a folder, not a picture")
        if not path.is_file():
            raise BadData(f"there is no picture {path}")
        data = path.read_bytes()
    except (OSError, ValueError) as error:  # no right to read it; a NUL in its name
        raise BadData(f"the picture {str(path)!r} cannot be read: {error}") from error
    if not data:
        raise BadData(f"the picture {path} is empty: 0 bytes")
    return data


def _decoded(data: bytes, path: Path) -> "tuple[Image.Image, tuple[str, ...]]":
    _init()
    try:
        return _seen(_header(data))
    except BadData as error:
        raise BadData(f"the picture {path} {error}") from error
    except Exception as error:  # decoders raise anything on damaged files
        reason = str(error) or type(error).__name__
        raise BadData(f"the picture {path} is damaged or truncated: {reason}") from error


def _init() -> None:
    """Let Pillow know of all its decoders."""
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtra("pictures need Pillow: pip install 'beir-hybrid[image]'") from error
    Image.init()


def _header(data: bytes) -> "Image.Image":
    """Return a picture of which only the header is read.

    `Image.open` does that too, and warns of large pictures, which cannot be silenced for it alone.
    """
    from PIL import Image

    for name in FORMATS:
        factory, accept = Image.OPEN.get(name, (None, None))
        # An answer in text says why a file of that format cannot be read after all.
        if factory and (accept is None or accept(data[:16]) is True):
            try:
                image = factory(BytesIO(data), "")
            except (SyntaxError, IndexError, TypeError, struct.error):
                continue  # another format, as `Image.open` takes it
            width, height = image.size
            if width * height > LIMIT:
                size = f"{width:,} x {height:,} pixels, more than {LIMIT:,}"
                raise BadData(f"is too large: {size}; make it smaller")
            return image
    raise BadData(f"is of no format that can be read here: {', '.join(FORMATS)}")


def _seen(image: "Image.Image") -> "tuple[Image.Image, tuple[str, ...]]":
    """Return a picture as `opened` does, and what that changed."""
    odd = []
    if getattr(image, "is_animated", False):
        odd.append("animated: first frame")
    image.load()
    turn, readable = _turn(image)
    if not readable:
        odd.append("broken EXIF")
    if image.mode.startswith("I;16"):
        odd.append("16 bits")
        image = _eight_bits(image)
    if image.mode not in _PLAIN:
        raise BadData(f"has pixels of a kind that no screen shows: mode {image.mode}")
    if image.mode in _ODD:
        odd.append(_ODD[image.mode])
    if image.has_transparency_data:
        image, clear = _on_white(image)
        odd += ["transparent"] * clear
    if image.mode != "RGB":
        image = image.convert("RGB")
    if turn is not None:
        odd.append("turned")
        image = image.transpose(turn)
    return image, tuple(odd)


def _turn(image: "Image.Image") -> "tuple[Image.Transpose | None, bool]":
    """Return how the EXIF data want the picture turned, and whether they can be read."""
    from PIL.Image import Transpose

    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - as damaged data may raise anything; the pixels are sound
        return None, False
    turns = (
        *(None, None, Transpose.FLIP_LEFT_RIGHT, Transpose.ROTATE_180, Transpose.FLIP_TOP_BOTTOM),
        *(Transpose.TRANSPOSE, Transpose.ROTATE_270, Transpose.TRANSVERSE, Transpose.ROTATE_90),
    )
    known = isinstance(orientation, int) and 0 <= orientation < len(turns)
    return turns[orientation] if known else None, True


def _eight_bits(image: "Image.Image") -> "Image.Image":
    """Keep the upper half of 16 bits; Pillow's own conversion makes all but the darkest white."""
    import numpy as np
    from PIL import Image

    return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))


def _on_white(image: "Image.Image") -> "tuple[Image.Image, bool]":
    """Return a picture on white, and whether any of that shows."""
    from PIL import Image

    layer = image.convert("RGBA")
    if layer.getchannel("A").getextrema() == (255, 255):
        return layer.convert("RGB"), False
    ground = Image.new("RGBA", layer.size, "white")
    return Image.alpha_composite(ground, layer).convert("RGB"), True
