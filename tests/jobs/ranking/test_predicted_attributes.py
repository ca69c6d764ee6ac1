"""Missing attributes are filled in with tags, as of a date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import cast

import polars as pl
import pyarrow as pa

from expectations.contract import Contract
from expectations.tagging import ARTICLE_TAGS
from jobs.platform.job import Job
from jobs.ranking.snapshot import SnapshotLoader
from jobs.retrieval.purchases import Purchases
from tests.jobs.ranking.conftest import AS_OF, Shop, make_purchases

TYPE, COLOUR = "product_type_name", "colour_group_name"
EARLIER, LATER = AS_OF - timedelta(days=7), AS_OF + timedelta(days=7)


def given(day: date, article: int, label: str, value: str, filled_in: bool = True) -> dict[str, object]:
    tag = {"as_of_date": day, "article_id": f"{article:010}", "label": label, "value": value}
    return tag | {"is_filled_in": filled_in}


@dataclass
class TaggedShop(Shop):
    """A shop that says nothing of the types and colours of articles 0 to 3, and has tags."""

    tags: list[dict[str, object]] = field(default_factory=list)

    def articles(self) -> pl.DataFrame:
        unsaid = pl.int_range(pl.len()) < 4
        return super().articles().with_columns(pl.when(~unsaid).then(pl.col(TYPE, COLOUR)))

    def exists(self, contract: Contract) -> bool:
        return contract is ARTICLE_TAGS

    def partitions(self, contract: Contract) -> list[dict[str, str]]:
        return [{"as_of_date": str(day)} for day in {tag["as_of_date"] for tag in self.tags}]

    def read_arrow(
        self, contract: Contract, columns: Sequence[str] | None = None, where: Mapping[str, list] | None = None
    ) -> pa.Table:
        if contract is not ARTICLE_TAGS:
            return super().read_arrow(contract, columns, where)
        assert where
        rows = pl.DataFrame(self.tags).filter(pl.col("as_of_date").is_in(where["as_of_date"]))
        return rows.select(columns or rows.columns).to_arrow()


def attributes(purchases: Purchases, tags: list[dict[str, object]], until: date = AS_OF) -> dict[str, list[str | None]]:
    """Type and colour of articles 0 to 4 as a model of the date gets them."""
    loader = SnapshotLoader(cast(Job, TaggedShop(purchases, tags)), purchases, None, until)
    found = loader.at(until).article_table.categories
    return {name: found[name].to_pylist()[:5] for name in (TYPE, COLOUR)}


def test_the_newest_tag_until_the_date_fills_in_what_is_not_stated() -> None:
    tags = [
        given(EARLIER, 0, TYPE, "Trousers"),
        given(EARLIER, 1, TYPE, "Trousers"),
        given(AS_OF, 1, TYPE, "Shorts"),  # newer
        given(EARLIER, 2, TYPE, "Skirt"),
        given(AS_OF, 2, TYPE, "Dress", filled_in=False),  # newer, and unsure
        given(AS_OF, 3, COLOUR, "Blue"),
        given(AS_OF, 4, TYPE, "Hat"),  # stated
    ]
    purchases = make_purchases()
    found = attributes(purchases, tags)
    assert found[TYPE] == ["Trousers", "Shorts", None, None, "section 0"]
    assert found[COLOUR] == [None, None, None, "Blue", "section 0"]
    loader = SnapshotLoader(cast(Job, TaggedShop(purchases, tags)), purchases, None, AS_OF)
    assert loader.predicted == {TYPE: 2, COLOUR: 1}

    future = [given(LATER, n, label, "Later") for n in range(5) for label in (TYPE, COLOUR)]
    assert attributes(purchases, [*tags, *future]) == found  # tags of later dates change nothing
    assert attributes(purchases, [*tags, *future], LATER)[TYPE] == ["Later"] * 4 + ["section 0"]
    assert attributes(purchases, tags, EARLIER)[TYPE] == ["Trousers", "Trousers", "Skirt", None, "section 0"]


def test_a_shop_that_states_all_is_read_without_tags() -> None:
    purchases = make_purchases()
    loader = SnapshotLoader(cast(Job, Shop(purchases)), purchases, None)  # it has no `exists`
    assert loader.predicted == {}
