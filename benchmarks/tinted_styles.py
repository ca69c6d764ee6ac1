"""Fashion-MNIST as a catalogue in the shape of Fashion Product Images: photographs, each tinted in a few colours.

    python -m benchmarks.tinted_styles /data/fashion_mnist data/tinted [--faults]

What a photograph shows is as its data set says: articleType, subCategory and masterCategory. Colours are those of
the tint, in a few shades. Gender, season and usage are drawn, with odds that depend on the type: no tagger can be right
more often than these odds allow. Variants of one photograph are one product line.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.fashion_mnist import read
from sample_data.files import atomic
from sample_data.styles import BLANK, COMMA, FULL_SIZE, HEADER, LARGE, NO_COLOUR, SMALL, WITHOUT_PICTURE

#: Of each class: articleType, subCategory, masterCategory, odds of women, of sports and of summer.
TYPES = (
    ("Tshirts", "Topwear", "Apparel", 0.5, 0.1, 0.8),
    ("Trousers", "Bottomwear", "Apparel", 0.6, 0.1, 0.3),
    ("Sweatshirts", "Topwear", "Apparel", 0.4, 0.3, 0.1),
    ("Dresses", "Dress", "Apparel", 1.0, 0.0, 0.7),
    ("Jackets", "Topwear", "Apparel", 0.5, 0.1, 0.1),
    ("Sandals", "Sandal", "Footwear", 0.8, 0.1, 0.9),
    ("Shirts", "Topwear", "Apparel", 0.3, 0.0, 0.6),
    ("Sports Shoes", "Shoes", "Footwear", 0.3, 0.9, 0.5),
    ("Handbags", "Bags", "Accessories", 0.9, 0.0, 0.6),
    ("Casual Shoes", "Shoes", "Footwear", 0.6, 0.0, 0.2),
)
#: Colour -> its RGB, the more frequent first.
PALETTE = {
    "Black": (30, 30, 32), "White": (245, 245, 245), "Blue": (40, 80, 170), "Grey": (128, 128, 128),
    "Red": (190, 30, 40), "Green": (40, 120, 60), "Navy Blue": (25, 30, 75), "Brown": (110, 70, 40),
    "Pink": (235, 150, 170), "Purple": (110, 60, 130), "Yellow": (235, 205, 60), "Beige": (215, 195, 160),
}  # fmt: skip
#: Standard deviation of a tint's shades; colours of a photograph at most.
SHADE, VARIANTS = 8, 3
#: Faults: one style in so many has another type's labels, no usage, a grey picture, one that is cut off.
WRONG, NO_USAGE, GREY, CUT_OFF = 40, 70, 50, 100


def tinted(grey: np.ndarray, rgb: np.ndarray) -> Image.Image:
    """A photograph uint8 [28, 28] of something bright on black, in this colour on white, of the size SMALL."""
    width, height = SMALL
    shape = Image.fromarray(grey).resize((width - 8, width - 8), Image.Resampling.BICUBIC)
    light = np.zeros((height, width))
    top = (height - width + 8) // 2
    light[top : top + width - 8, 4:-4] = np.asarray(shape) / 255
    share = np.clip((light - 0.04) / 0.08, 0, 1)[..., None]
    pixels = share * rgb * (0.45 + 0.75 * light[..., None]) + (1 - share) * 255
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def styles(classes: np.ndarray, seed: int) -> list[tuple[int, str, dict[str, str]]]:
    """Photograph, colour and record of styles.csv of each style, of photographs with these classes."""
    rng = np.random.default_rng(seed)
    odds = 1 / np.arange(1, len(PALETTE) + 1)
    found = list[tuple[int, str, dict[str, str]]]()
    for photograph, code in enumerate(classes):
        kind, sub, master, women, sports, summer = TYPES[code]
        draws = rng.random(3)
        gender = "Women" if draws[0] < women else ("Unisex" if draws[0] > 0.95 else "Men")
        usage = "Sports" if draws[1] < sports else ("Formal" if kind == "Shirts" and draws[1] > 0.6 else "Casual")
        season = "Summer" if draws[2] < summer else ("Winter" if draws[2] > 0.8 else "Fall")
        word = "".join("bdfgklmnprstvz"[n] + "aeiou"[m] for n, m in rng.integers(0, (14, 5), (4, 2)))
        for colour in rng.choice(list(PALETTE), rng.integers(1, VARIANTS + 1), replace=False, p=odds / odds.sum()):
            values = (
                *(str(10_000 + len(found)), gender, master, sub, kind, colour, season, str(2011 + photograph % 7)),
                *(usage, f"{word.title()} {gender} {colour} {kind}"),
            )
            found.append((photograph, colour, dict(zip(HEADER, values, strict=True))))
    return found


def add_faults(records: list[dict[str, str]], rng: np.random.Generator) -> list[str]:
    """Change some records; returns the ids of those with another type's labels."""
    wrong = []
    for n, record in enumerate(records):
        if n % COMMA == 3:
            record["productDisplayName"] += ", pack of 2, boxed"
        if n % BLANK == 7:
            record["season"] = ""
        if n % NO_COLOUR == 9:
            record["baseColour"] = "NA"
        if n % NO_USAGE == 13:
            record["usage"] = "NA"
        if n % WRONG == 17:
            others = [each for each in TYPES if each[0] != record["articleType"]]
            kind, sub, master, *_ = others[rng.integers(len(others))]
            record |= {"articleType": kind, "subCategory": sub, "masterCategory": master}
            wrong.append(record["id"])
    records[0]["articleType"] = "Umbrella Stand"
    return wrong


def encoded(picture: Image.Image, number: int, has_faults: bool) -> bytes:
    """The JPEG of style `number`."""
    if has_faults and number % FULL_SIZE == 11:
        picture = picture.resize(LARGE)
    if has_faults and number % GREY == 21:
        picture = picture.convert("L")
    jpeg = io.BytesIO()
    picture.save(jpeg, "JPEG", quality=88)
    content = jpeg.getvalue()
    return content[: len(content) // 2] if has_faults and number % CUT_OFF == 31 else content


def write(data: Path, out: Path, photographs: int, seed: int, has_faults: bool = False) -> int:
    """Write styles.csv and images/ below `out`, of so many of the test photographs in `data`; returns the styles."""
    pixels, classes = read(data, "t10k")
    rng = np.random.default_rng([seed, 1])
    chosen = rng.choice(len(pixels), min(photographs, len(pixels)), replace=False)
    found = styles(classes[chosen], seed)
    records, without = [record for _, _, record in found], set[int]()
    if has_faults:
        without = set(np.linspace(1, len(found) - 1, WITHOUT_PICTURE).astype(int).tolist())
        wrong = add_faults(records, np.random.default_rng([seed, 2]))
        with atomic(out / "wrong_labels.csv") as file:
            file.write(("\n".join(["id", *wrong]) + "\n").encode())
    lines = [",".join(HEADER), *(",".join(record.values()) for record in records)]
    with atomic(out / "styles.csv") as file:
        file.write(("\n".join(lines) + "\n").encode())
    for n, (photograph, colour, record) in enumerate(found):
        rgb = np.array(PALETTE[colour]) + rng.normal(0, SHADE, 3)
        if n in without:
            continue
        with atomic(out / "images" / f"{record['id']}.jpg") as file:
            file.write(encoded(tinted(pixels[chosen[photograph]], rgb), n, has_faults))
    return len(found)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with Fashion-MNIST's files")
    parser.add_argument("out", type=Path)
    parser.add_argument("--photographs", type=int, default=900)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--faults", action="store_true", help="with traps, bad pictures and wrong labels")
    given = parser.parse_args()
    count = write(given.data, given.out, given.photographs, given.seed, given.faults)
    print(f"{count:,} styles in {given.out}")


if __name__ == "__main__":
    main()
