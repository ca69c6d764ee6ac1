"""The moments of the real H&M files, each with the SQL that counts it on any data set of the same schema.

`lines` has a line per unit: day, customer and article (row numbers), price, channel. `baskets` has a row per customer
and day, `pairs` per customer and article, `week_buyers` and `week_articles` those of the last seven days with what they
did before. `bought` has the pairs of that week, `owned` what its buyers had bought before it; `popular`, `own_lists`
and `last_week_lists` are baselines as of its first day; `lives` has a row per article. What was not counted on the
real files has no figure.
"""
# ruff: noqa: S608 - the queries are made of this module's own words

from typing import NamedTuple


class Moment(NamedTuple):
    """One line of the report: `sql` gives as many values as `real` has, if any.

    `scales` if it depends on the number of customers or articles; `sampled` if `real` was counted on the purchases of
    REAL_SAMPLE customers only.
    """

    name: str
    real: tuple[float, ...]
    sql: str
    scales: bool = False
    sampled: bool = False


REAL_SAMPLE = 1_364


def shares(column: str, table: str, real: dict[str, float], sampled: bool = False) -> list[Moment]:
    """One moment per value of a column: its share of the rows."""
    return [
        Moment(
            f"{value}", (share,), f"SELECT avg(({column} IS NOT DISTINCT FROM '{value}')::INT) FROM {table}",
            sampled=sampled,
        )
        for value, share in real.items()
    ]  # fmt: skip


def distinct(**real: int) -> list[Moment]:
    """One moment per column of articles: how many values it has."""
    return [
        Moment(
            f"distinct {column}".removesuffix("_name"), (count,), f"SELECT count(DISTINCT {column}) FROM articles", True
        )
        for column, count in real.items()
    ]


def quantiles(column: str, table: str, at: str) -> str:
    return f"SELECT unnest(quantile_cont({column}, [{at}])) FROM {table}"


def top(n: int) -> str:
    return f"SELECT sum(sold) FILTER (place <= {n}) / sum(sold) FROM week_articles"


POPULAR = "SELECT customer, article, place FROM popular, (SELECT DISTINCT customer FROM bought) WHERE place <= 12"
#: Own articles, then the best sellers that are none of them.
OWN_THEN_POPULAR = """
    SELECT customer, article, row_number() OVER (PARTITION BY customer ORDER BY part, nth) AS place
    FROM (SELECT customer, article, 1 AS part, place AS nth FROM own_lists UNION ALL
          SELECT customer, article, 2, place FROM popular, (SELECT DISTINCT customer FROM bought)
          WHERE (customer, article) NOT IN (SELECT (customer, article) FROM own_lists))
    QUALIFY place <= 12"""


def map_at_12(lists: str) -> str:
    """MAP@12 over the week's buyers of lists: customer, article, place."""
    return f"""
        SELECT coalesce(sum(hits / place / least(size, 12)), 0) / (SELECT count(DISTINCT customer) FROM bought)
        FROM (SELECT customer, place, row_number() OVER (PARTITION BY customer ORDER BY place) AS hits
              FROM ({lists}) JOIN bought USING (customer, article))
        JOIN (SELECT customer, count(*) AS size FROM bought GROUP BY customer) USING (customer)"""


def again(days: int) -> str:
    """Share of the week's pairs that were bought in so many days before it, too."""
    return f"""
        SELECT avg((last >= first - {days})::INT::DOUBLE) FROM
        (SELECT coalesce(last, DATE '1900-01-01') AS last
         FROM bought LEFT JOIN owned USING (customer, article)), week"""


MOMENTS: dict[str, list[Moment]] = {
    "articles.csv": [
        Moment("articles", (105_542,), "SELECT count(*) FROM articles", True),
        *distinct(
            product_code=47_224, product_type_name=131, product_group_name=19, graphical_appearance_name=30,
            colour_group_name=50, perceived_colour_value_name=8, perceived_colour_master_name=20, department_no=299,
            department_name=250, index_code=10, index_group_no=5, section_no=57, section_name=56,
            garment_group_name=21, detail_desc=43_405,
        ),
        Moment("detail_desc empty", (416 / 105_542,), "SELECT avg((detail_desc IS NULL)::INT) FROM articles"),
        Moment(
            "detail_desc length (quartiles)", (94, 132, 178),
            quantiles("length(detail_desc)", "articles", "0.25, 0.5, 0.75"),
        ),
        *shares("index_group_name", "articles", {
            "Ladieswear": 0.377, "Baby/Children": 0.329, "Divided": 0.144, "Menswear": 0.119, "Sport": 0.032}),
        *shares("product_group_name", "articles", {
            "Garment Upper body": 0.405, "Garment Lower body": 0.188, "Garment Full body": 0.126, "Accessories": 0.106,
            "Underwear": 0.052, "Shoes": 0.050, "Swimwear": 0.030, "Socks & Tights": 0.023}),
        *shares("graphical_appearance_name", "articles", {
            "Solid": 0.471, "All over pattern": 0.163, "Melange": 0.056, "Stripe": 0.047, "Denim": 0.046}),
        *shares("perceived_colour_master_name", "articles", {
            "Black": 0.214, "Blue": 0.175, "White": 0.120, "Pink": 0.089, "Grey": 0.085}),
    ],
    "customers.csv": [
        Moment("customers", (1_371_980,), "SELECT count(*) FROM customers", True),
        Moment("FN empty", (0.652,), "SELECT avg((FN IS NULL)::INT) FROM customers"),
        Moment("Active empty", (0.662,), "SELECT avg((Active IS NULL)::INT) FROM customers"),
        *shares("club_member_status", "customers", {"ACTIVE": 0.92, "PRE-CREATE": 0.075}, sampled=True),
        *shares("fashion_news_frequency", "customers", {"NONE": 0.67, "Regularly": 0.33}, sampled=True),
        Moment(
            "age (mean, sd)", (36.2, 14.1), "SELECT unnest([avg(age), stddev(age)]) FROM customers", sampled=True
        ),
        Moment("age (quartiles)", (24, 31, 48), quantiles("age", "customers", "0.25, 0.5, 0.75"), sampled=True),
        Moment("age empty", (0.009,), "SELECT avg((age IS NULL)::INT) FROM customers", sampled=True),
    ],
    "transactions_train.csv": [
        Moment("lines", (31_788_324,), "SELECT count(*) FROM lines", True),
        Moment("lines per customer", (23.2,), "SELECT count(*) / (SELECT count(*) FROM customers) FROM lines", True),
        Moment("online", (0.71,), "SELECT avg((channel = 2)::INT) FROM lines", sampled=True),
        Moment(
            "price (1 10 25 %)", (0.0036, 0.0101, 0.0159),
            quantiles("price", "lines", "0.01, 0.1, 0.25"), sampled=True,
        ),
        Moment(
            "price (50 75 90 99 %)", (0.0254, 0.0339, 0.0508, 0.0915),
            quantiles("price", "lines", "0.5, 0.75, 0.9, 0.99"), sampled=True,
        ),
        Moment("price (lowest)", (0.000458,), "SELECT min(price) FROM lines", True, sampled=True),
        Moment("price (highest)", (0.337,), "SELECT max(price) FROM lines", True, sampled=True),
        Moment(
            "lines identical to another", (0.091,), "SELECT 1 - sum(distinct_lines) / sum(size) FROM baskets", True,
            sampled=True,
        ),
        Moment("basket lines (quartiles)", (1, 2, 4), quantiles("size", "baskets", "0.25, 0.5, 0.75"), sampled=True),
        Moment("basket lines (mean)", (3.6,), "SELECT avg(size) FROM baskets", sampled=True),
        Moment("basket articles (mean)", (3.2,), "SELECT avg(distinct_articles) FROM baskets", sampled=True),
        Moment("basket lines (largest)", (62,), "SELECT max(size) FROM baskets", True, sampled=True),
        Moment(
            "gap in days (10 25 50 75 90 %)", (2, 7, 22, 57, 125),
            quantiles("gap", "baskets", "0.1, 0.25, 0.5, 0.75, 0.9"), True,
            sampled=True,
        ),
        Moment(
            "pairs bought again on another day", (0.036,), "SELECT avg((days > 1)::INT) FROM pairs", True, sampled=True
        ),
    ],
    "the last seven days": [
        Moment("buyers", (68_984,), "SELECT count(*) FROM week_buyers", True),
        Moment("articles sold", (17_986,), "SELECT count(*) FROM week_articles", True),
        Moment("baskets", (77_143,), "SELECT sum(baskets) FROM week_buyers", True),
        Moment("lines of the 12 most popular", (0.028,), top(12), True),
        Moment("lines of the top 100", (0.134,), top(100), True),
        Moment("lines of the top 1,000", (0.502,), top(1_000), True),
        Moment("lines of the top 5,000", (0.856,), top(5_000), True),
        Moment(
            "lines per buyer (25 50 75 90 99 %)", (1, 2, 4, 7, 17),
            quantiles("units", "week_buyers", "0.25, 0.5, 0.75, 0.9, 0.99"),
        ),
        Moment("articles also sold in the 30 days before", (0.92,), "SELECT avg(recent::INT) FROM week_articles", True),
        Moment("buyers also seen in the 30 days before", (0.5,), "SELECT avg(recent::INT) FROM week_buyers"),
        Moment("buyers without history", (0.08,), "SELECT avg((NOT known)::INT) FROM week_buyers"),
        *(Moment(f"bought again within {days} days", (), again(days), True) for days in (7, 30, 90)),
        Moment(
            "bought as another variant of a product", (),
            "SELECT avg(((customer, product) IN (SELECT (customer, product) FROM owned) "
            "AND (customer, article) NOT IN (SELECT (customer, article) FROM owned))::INT) FROM bought", True,
        ),
        Moment(
            "lines of articles new in 28 days", (),
            "SELECT avg((first_day >= first - 28)::INT) FROM lines JOIN lives USING (article), week WHERE day >= first",
            True,
        ),
        Moment("MAP@12 of the best sellers of 7 days", (0.0087,), map_at_12(POPULAR), True),
        Moment("MAP@12 of own purchases", (), map_at_12("FROM own_lists"), True),
        Moment("MAP@12 of own, then best sellers", (), map_at_12(OWN_THEN_POPULAR), True),
        Moment("MAP@12 of own purchases, last week with any", (0.0217,), map_at_12("FROM last_week_lists"), True),
    ],
    "articles' lives": [
        Moment("days from first to last sale (quartiles)", (), quantiles("days", "lives", "0.25, 0.5, 0.75"), True),
    ],
}  # fmt: skip
