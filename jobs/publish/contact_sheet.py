"""A contact sheet of published recommendations: a row per customer, each pick with its image, name and reason.

    python -m jobs.publish.contact_sheet --as-of-date 2020-09-23 --warehouse warehouse --data data/sample

Not a task of a DAG: it reads tables and images, and writes one PNG file. Shown are two
customers with purchases, those whose picks have the most different reasons, and one without.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

from PIL import Image, ImageDraw, ImageFont
from pydantic import ValidationError

from expectations.articles import ARTICLES
from expectations.recommendations import RECOMMENDATIONS
from expectations.transactions import TRANSACTIONS
from jobs.embeddings.decode import read
from jobs.embeddings.versions import ImageFolder, image_folder
from jobs.platform.errors import JobError
from jobs.platform.job import EXIT_JOB_ERROR
from jobs.platform.settings import Settings
from jobs.platform.warehouse import Warehouse
from jobs.similarity.sheet import CAPTION_LINES, GAP, INK, LINE, Tile, place

#: Picks shown per customer, and customers with purchases before the one without.
PICKS, WARM = 6, 2
#: Customers are chosen from the first CHOICE of these A/B buckets, a tenth of all: a large table is not loaded.
BUCKETS, CHOICE = range(10), 1_000
#: Pixels of an image, and characters that fit below it.
SIZE, CHARACTERS = (144, 216), 21
HEADER = 2 * LINE


def choose(
    picks: Mapping[str, Sequence[Mapping[str, Any]]], warm: set[str], counts: tuple[int, int] = (WARM, 1)
) -> list[str]:
    """Customers with purchases, those with most different reasons first, then some without; so many of each, and more
    with purchases where fewer are without."""
    ordered = sorted(picks, key=lambda c: (-len({pick["reason"] for pick in picks[c]}), c))
    without = [c for c in ordered if c not in warm][: counts[1]]
    return [c for c in ordered if c in warm][: sum(counts) - len(without)] + without


def rows(settings: Settings, counts: tuple[int, int] = (WARM, 1)) -> dict[str, list[Tile]]:
    """Per customer the article bought last and the first PICKS recommendations.

    Args:
        settings: as of when, and where.
        counts: of customers with purchases, and without.

    Raises:
        JobError: nothing was published for the as-of date.
    """
    warehouse = Warehouse(settings.warehouse, {})
    where: dict[str, Any] = {"bucket": list(BUCKETS), "rank": list(range(1, PICKS + 1))}
    where["as_of_date"] = [settings.as_of_date]
    fields = ["customer_id", "rank", "article_id", "reason"]
    found = warehouse.read_arrow(RECOMMENDATIONS, fields, where=where) if warehouse.exists(RECOMMENDATIONS) else None
    if not found:
        raise JobError(f"{warehouse.uri(RECOMMENDATIONS)}: nothing published for {settings.as_of_date}; run the DAG")
    picks: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for pick in sorted(found.to_pylist(), key=lambda pick: pick["rank"]):
        picks[pick["customer_id"]].append(pick)
    picks = {customer: picks[customer] for customer in sorted(picks)[:CHOICE]}
    fields = ["t_dat", "article_id", "customer_id"]
    of_these, earlier = {"customer_id": list(picks)}, {"t_dat": settings.as_of_date}
    bought = warehouse.read_arrow(TRANSACTIONS, fields, where=of_these, before=earlier)
    in_order = bought.sort_by([(field, "ascending") for field in fields]).to_pylist()
    last = {line["customer_id"]: line["article_id"] for line in in_order}
    chosen = choose(picks, set(last), counts)
    wanted = {pick["article_id"] for c in chosen for pick in picks[c]} | {last[c] for c in chosen if c in last}
    named = warehouse.read_arrow(ARTICLES, ["article_id", "prod_name"], where={"article_id": sorted(wanted)})
    name = {a["article_id"]: a["prod_name"] or a["article_id"] for a in named.to_pylist()}
    folder = image_folder(settings)
    tiles = {}
    for c in chosen:
        before = tile(last[c], name[last[c]], "Bought last", folder) if c in last else Tile(None, ("No purchase yet",))
        after = [tile(p["article_id"], f"{p['rank']}. {name[p['article_id']]}", p["reason"], folder) for p in picks[c]]
        tiles[c] = [before, *after]
    return tiles


def tile(article_id: str, name: str, reason: str, folder: ImageFolder | None) -> Tile:
    """An article's image, or none, with its name and the reason below it."""
    content = read(folder.path(article_id), folder.roots)[1] if folder else None
    return Tile(content, (name, *wrap(reason, CHARACTERS, max_lines=CAPTION_LINES - 1, placeholder=" ...")))


def draw(tiles: Mapping[str, Sequence[Tile]]) -> Image.Image:
    """The sheet, in 256 colours to keep the file small."""
    (width, height), step = SIZE, HEADER + SIZE[1] + CAPTION_LINES * LINE + GAP
    sheet = Image.new("RGB", (GAP + (PICKS + 1) * (width + GAP) + GAP, GAP + len(tiles) * step), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=17)
    for n, (customer, some) in enumerate(tiles.items()):
        top = GAP + n * step
        pen.text((GAP, top), f"Customer {customer[:8]}", INK, font)
        for i, one in enumerate(some):
            place(sheet, one, (GAP + i * (width + GAP) + GAP * (i > 0), top + HEADER - LINE // 2), (width, height))
    return sheet.quantize(256)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("recommendations.png"), help="the PNG file to write")
    for name in ("as_of_date", "warehouse", "data", "mapping"):
        help_text = Settings.model_fields[name].description
        parser.add_argument(f"--{name.replace('_', '-')}", required=name == "as_of_date", help=help_text)
    given = {name: value for name, value in vars(parser.parse_args(argv)).items() if value is not None}
    out = given.pop("out")
    try:
        draw(rows(Settings(**given))).save(out)
    except (JobError, ValidationError, OSError) as error:
        print(f"ERROR publish.contact_sheet: {error}", file=sys.stderr)
        return EXIT_JOB_ERROR
    print(f"contact sheet: {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
