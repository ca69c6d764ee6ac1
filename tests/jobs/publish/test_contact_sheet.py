"""The contact sheet: whose picks it shows, what stands below an image, and what it says without tables."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from expectations.recommendations import RECOMMENDATIONS
from jobs.platform.settings import Settings
from jobs.publish import contact_sheet
from jobs.publish.contact_sheet import BUCKETS, PICKS, SIZE
from jobs.similarity.sheet import GAP, PALE
from tests.jobs.evaluation.silver import put, put_purchases
from tests.jobs.retrieval.small import on

AS_OF, COLOUR = on(30), (200, 30, 30)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Customers 0 to 2 bought, 3 did not; 2 has two reasons; article 1 has an image; 4 is in another bucket."""
    put_purchases(tmp_path, [(10, 0, 0), (11, 1, 0), (12, 2, 5), (13, 2, 1), (31, 2, 6)], customers=5, articles=8)
    rows = [
        {"as_of_date": AS_OF, "customer_id": f"c{c}", "rank": rank, "article_id": f"a{rank:02d}",
         "bucket": BUCKETS[c] if c < 4 else BUCKETS[-1] + 1,
         "reason": "In demand right now" if c == 2 and rank == 3 else "Popular this week"}
        for c in range(5) for rank in range(1, 8)
    ]  # fmt: skip
    put(tmp_path, RECOMMENDATIONS, rows)
    (tmp_path / "images" / "a01").mkdir(parents=True)
    Image.new("RGB", SIZE, COLOUR).save(tmp_path / "images" / "a01" / "a01.jpg")
    return tmp_path


def test_each_row_has_the_last_purchase_and_the_first_picks(shop: Path) -> None:
    found = contact_sheet.rows(Settings(as_of_date=AS_OF, warehouse=str(shop), data=str(shop)))
    assert list(found) == ["c2", "c0", "c3"]  # most reasons, then no purchase
    captions = {customer: [one.caption for one in tiles] for customer, tiles in found.items()}
    assert captions["c2"][0] == ("Shirt 1", "Bought last"), "not the purchase after the as-of date"
    assert captions["c2"][3] == ("3. Shirt 3", "In demand right now")
    assert captions["c3"][0] == ("No purchase yet",)
    assert [len(tiles) for tiles in found.values()] == [1 + PICKS] * 3
    settings = Settings(as_of_date=AS_OF, warehouse=str(shop), data=str(shop))
    assert list(contact_sheet.rows(settings, (1, 3))) == ["c2", "c0", "c1", "c3"], "only one is without purchases"


def test_the_file_has_the_images(shop: Path) -> None:
    out = shop / "sheet.png"
    places = ["--warehouse", str(shop), "--data", str(shop), "--out", str(out)]
    assert contact_sheet.main(["--as-of-date", str(AS_OF), *places]) == 0
    sheet = Image.open(out).convert("RGB")
    first, second, third = (
        sheet.getpixel((GAP + i * (SIZE[0] + GAP) + GAP * (i > 0) + SIZE[0] // 2, SIZE[1])) for i in range(3)
    )
    assert all(abs(a - b) < 12 for pixel in (first, second) for a, b in zip(pixel, COLOUR, strict=True))
    assert all(abs(a - b) < 12 for a, b in zip(third, PALE, strict=True)), "no image: grey"


def test_a_date_without_recommendations_is_an_error(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for date, words in ((on(37), "nothing published for"), ("never", "as_of_date")):
        places = ["--warehouse", str(shop), "--out", str(shop / "none.png")]
        assert contact_sheet.main(["--as-of-date", str(date), *places]) == 2
        assert words in capsys.readouterr().err
    assert not (shop / "none.png").exists()
