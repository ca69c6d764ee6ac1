"""The pages on articles: what they show, to whom, and what they log."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from expectations.articles import ARTICLES
from expectations.baskets import BOUGHT_TOGETHER
from expectations.features import ARTICLE_FEATURES
from expectations.recommendations import RECOMMENDATIONS
from expectations.similarity import SIMILAR_ARTICLES
from tests.app.conftest import (
    ARTICLE_IDS,
    CUSTOMER_IDS,
    DELISTED,
    HOSTILE,
    KINDS,
    WEEK,
    article_features,
    articles,
    recommendations,
    write,
)
from tests.app.people import account, events_of, page, sign_up, staff, visitor


def shown(answer: Any) -> list[str]:
    """The articles on a page, in order."""
    return re.findall(r'href="/article/(\d+)/\?c=', answer.content.decode())


def picked(customer: str) -> list[str]:
    return [row["article_id"] for row in recommendations(WEEK) if row["customer_id"] == customer]


def of_customer(home: Path, customer_id: str) -> Any:
    """A browser in which a customer of the retailer is signed in, whose account is nobody else's from then on."""
    from app.accounts.models import User, new_customer_id

    User.objects.filter(customer_id=customer_id).update(customer_id=new_customer_id())
    browser, address = sign_up(home)
    user = account(address)
    user.customer_id, user.is_linked = customer_id, True
    user.save()
    return browser


@pytest.fixture
def damaged(shop: Path, retailer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the warehouse that the pages of this test read."""
    from app.catalog import shop as module
    from app.tables.store import Tables

    copy = tmp_path / "warehouse"
    shutil.copytree(retailer / "warehouse", copy)
    tables = Tables(str(copy))
    for name in ("app.catalog.views", "app.catalog.staff", "app.orders.views"):
        monkeypatch.setattr(f"{name}.tables", lambda: tables)
    monkeypatch.setattr(module, "tables", lambda: tables)
    return copy


def test_the_catalogue_goes_by_sales_and_without_what_is_delisted(shop: Path) -> None:
    best = [row["article_id"] for row in sorted(article_features(), key=lambda row: -row["sales_count_7d"])]
    browser = visitor()
    first, second = (shown(browser.get(f"/?page={number}")) for number in (1, 2))
    assert first + second == [one for one in best if one != DELISTED]
    assert len(first) == 24
    assert "47 styles" in browser.get("/").content.decode()


def test_filters_narrow_and_stay_chosen(shop: Path) -> None:
    answer = visitor().get("/", {"type": KINDS[0], "colour": "Red", "department": f"{KINDS[0]} department"})
    assert shown(answer) == [ARTICLE_IDS[1], ARTICLE_IDS[25]]
    assert '<option value="Red" selected>Red (' in answer.content.decode()
    prices = {row["article_id"]: row["price_median"] * 590 for row in article_features()}
    within = shown(visitor().get("/", {"from": "10", "to": "15,5"}))
    assert sorted(within) == [one for one in ARTICLE_IDS if 10 <= prices[one] <= 15.5 and one != DELISTED]


@pytest.mark.parametrize(
    "query", ["page=-1", "page=٣", "page=1e9", "from=nan", "to=abc", "type=%00", "colour=' OR 1=1 --"]
)
def test_a_senseless_address_is_no_error(shop: Path, query: str) -> None:
    assert visitor().get(f"/?{query}").status_code == 200


def test_an_article_shows_what_goes_with_it_and_what_is_like_it_by_each_method(shop: Path) -> None:
    answer = visitor().get(f"/article/{ARTICLE_IDS[0]}/")
    text = answer.content.decode()
    assert "17 customers bought both" in text
    assert "€5.90" in text and "Trousers in soft cotton, black." in text
    together = [ARTICLE_IDS[9 * rank % (len(ARTICLE_IDS) - 1)] for rank in range(1, 5)]
    by_words, by_look = ([ARTICLE_IDS[step * rank] for rank in range(1, 7)] for step in (1, 4))
    assert shown(answer) == together + by_words
    assert '<option value="minilm" selected>Description</option>' in text
    other = visitor().get(f"/article/{ARTICLE_IDS[0]}/?similar=cosine_efficientnet_lite0")
    assert shown(other) == together + by_look
    assert shown(visitor().get(f"/article/{ARTICLE_IDS[0]}/?similar=../x")) == together + by_words


def test_what_is_sold_no_more_is_in_no_list_and_its_page_says_so(shop: Path) -> None:
    last = ARTICLE_IDS.index(DELISTED)
    alike = shown(visitor().get(f"/article/{ARTICLE_IDS[last - 1]}/"))
    assert alike == list(ARTICLE_IDS[:5]), "the first of six is sold no more"
    text = visitor().get(f"/article/{DELISTED}/").content.decode()
    assert "No longer sold" in text and "Put in the basket" not in text


def test_an_article_that_is_none_is_not_found(shop: Path) -> None:
    for article in ("0", "' OR 1=1 --", "..%2f..%2fetc", "%00"):
        assert visitor().get(f"/article/{article}/").status_code == 404


def test_names_are_text_and_nothing_else(shop: Path) -> None:
    for path in (
        f"/article/{HOSTILE}/",
        "/?page=1",
        f"/article/{ARTICLE_IDS[4]}/",
        "/search/?q=<script>alert(1)</script>",
    ):
        text = visitor().get(path).content.decode()
        assert "<script>alert" not in text and "<img src=x" not in text
    assert "&lt;script&gt;alert" in visitor().get(f"/article/{HOSTILE}/").content.decode()


def test_a_click_is_logged_with_the_place_that_it_came_from(shop: Path, landing: Path) -> None:
    browser = visitor()
    (link,) = re.findall(rf'href="(/article/{ARTICLE_IDS[2]}/\?c=[^"]+)"', browser.get("/").content.decode())
    browser.get(link)
    browser.get(f"/article/{ARTICLE_IDS[3]}/")
    logged = events_of(landing, browser)
    impressions = [event for event in logged if event["event"] == "impression" and event["list"] == "category"]
    assert [event["position"] for event in impressions] == list(range(24))
    assert [(e["article_id"], e["list"], e["position"]) for e in logged if e["event"] == "click"] == [
        (ARTICLE_IDS[2], "category", 2)
    ]
    assert [e["article_id"] for e in logged if e["event"] == "view"] == [ARTICLE_IDS[2], ARTICLE_IDS[3]]
    alike = {e["source"] for e in logged if e["list"] == "similar_articles"}
    assert alike == {"minilm"}


def test_for_you_are_the_customers_own_picks_with_reason_source_and_model(shop: Path, landing: Path) -> None:
    browser = of_customer(shop, CUSTOMER_IDS[0])
    answer = browser.get("/for-you/")
    text = answer.content.decode()
    assert shown(answer) == picked(CUSTOMER_IDS[0])
    assert "23 September 2020" in text and "Because you like sweater" in text
    assert "two_tower · model 7" in text and "popularity · baseline" in text
    assert shown(browser.get(f"/for-you/?customer={CUSTOMER_IDS[1]}")) == picked(CUSTOMER_IDS[0])
    logged = [e for e in events_of(landing, browser) if e["list"] == "recommendations"][:12]
    assert [(e["position"], e["source"], e["model_version"]) for e in logged] == [
        (place, "popularity" if place > 8 else "two_tower", "baseline" if place > 8 else "7") for place in range(12)
    ]
    assert {e["customer_id"] for e in logged} == {CUSTOMER_IDS[0]}


def test_who_is_new_sees_what_sells_of_what_they_like(shop: Path) -> None:
    answer = visitor().get("/for-you/")
    assert "Sign in to see your own picks" in answer.content.decode() and len(shown(answer)) == 12
    browser, address = sign_up(shop)
    user = account(address)
    user.taste = ["Menswear"]
    user.save()
    answer = browser.get("/for-you/")
    assert "come with the next weekly run" in answer.content.decode()
    of_men = [one for place, one in enumerate(ARTICLE_IDS) if place // 4 % 2]
    assert shown(answer) and set(shown(answer)) <= set(of_men)


def test_the_bucket_decides_which_list_is_shown(shop: Path, settings_of_lists: Any, landing: Path) -> None:
    browser = of_customer(shop, CUSTOMER_IDS[2])
    settings_of_lists(dict.fromkeys(range(100), "als"))
    assert shown(browser.get("/for-you/")) == [ARTICLE_IDS[(14 + 2 * rank) % 47] for rank in range(1, 13)]
    assert {e["source"] for e in events_of(landing, browser) if e["list"] == "als"} == {"als"}


@pytest.fixture
def settings_of_lists(shop: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    from django.conf import settings

    return lambda lists: monkeypatch.setattr(settings, "SHOP_LISTS", lists)


def test_a_table_that_is_missing_is_said_and_the_rest_works(damaged: Path) -> None:
    for contract in (SIMILAR_ARTICLES, BOUGHT_TOGETHER, RECOMMENDATIONS, ARTICLE_FEATURES):
        shutil.rmtree(damaged / contract.path)
    answer = visitor().get(f"/article/{ARTICLE_IDS[0]}/")
    text = answer.content.decode()
    assert answer.status_code == 200 and "Trousers in soft cotton" in text
    assert "gold/bought_together is not there yet: run `make demo`" in text
    assert "gold/similar_articles is not there yet: run `make catalogue`" in text
    assert shown(visitor().get("/")) == list(ARTICLE_IDS[:24]), "without sales by id"
    assert visitor().get("/?from=1").status_code == 200
    shutil.rmtree(damaged / ARTICLES.path)


def test_an_id_may_have_any_characters(damaged: Path) -> None:
    odd = "A/1 ü?#%&"
    write(damaged, ARTICLES, [articles()[0] | {"article_id": odd, "article_key": 99, "prod_name": "Odd one"}])
    shutil.rmtree(damaged / ARTICLE_FEATURES.path)
    listing = visitor().get("/", {"page": 2}).content.decode()
    (link,) = re.findall(r'href="(/article/A/1[^"]+)"', listing)
    answer = visitor().get(link.replace("&amp;", "&"))
    assert answer.status_code == 200 and "<h1>Odd one</h1>" in answer.content.decode()
    (source,) = re.findall(r'src="(/picture/page/A/1[^"]+)"', answer.content.decode())
    assert visitor().get(source.replace("&amp;", "&")).status_code == 200


def test_without_articles_every_page_says_what_to_run(damaged: Path) -> None:
    shutil.rmtree(damaged / ARTICLES.path)
    for path, status in (("/", 200), (f"/article/{ARTICLE_IDS[0]}/", 503), ("/for-you/", 200)):
        answer = visitor().get(path)
        assert answer.status_code == status
        assert "silver/articles is not there yet: run `make demo`" in answer.content.decode()


def test_only_staff_sees_another_customers_picks(shop: Path) -> None:
    path = f"/staff/customer/?customer={CUSTOMER_IDS[1]}&model=recommendations&beside=als"
    shopper = sign_up(shop)[0]
    for address in (path, "/staff/", "/staff/performance/", "/staff/report/"):
        assert visitor().get(address).status_code == 302
        assert shopper.get(address).status_code == 403
    browser = staff()
    text = browser.get(path).content.decode()
    ranked = re.findall(r'<li[^>]*><a href="/article/(\d+)/"', text)
    als = [ARTICLE_IDS[(7 + 2 * rank) % 47] for rank in range(1, 13)]
    assert ranked == picked(CUSTOMER_IDS[1]) + als
    assert f"{len(set(als) & set(picked(CUSTOMER_IDS[1])))} in both" in text
    assert "Age 27" in text
    assert "no such customer" in page(browser.get("/staff/customer/?customer=' OR 1=1"))


def test_staffs_looks_are_no_impressions(shop: Path, landing: Path) -> None:
    browser = staff()
    browser.get(f"/staff/customer/?customer={CUSTOMER_IDS[1]}")
    from app.events.visitors import COOKIE

    assert COOKIE not in browser.cookies or not events_of(landing, browser)


def test_last_week_says_what_it_takes_where_nothing_was_judged(shop: Path) -> None:
    assert "gold/realised_performance is not there yet" in page(staff().get("/staff/performance/"))


def test_staff_sees_the_newest_report_and_no_script_in_it_runs(shop: Path, retailer: Path) -> None:
    browser = staff()
    assert "No run has written its report yet" in page(browser.get("/staff/report/"))
    for week in ("2020-09-16", "2020-09-23"):
        folder = retailer / "warehouse" / "reports" / week
        folder.mkdir(parents=True)
        (folder / "index.html").write_text(f"<style>p {{ color: red }}</style><p>Week until {week}</p>")
    answer = browser.get("/staff/report/")
    assert "Week until 2020-09-23" in answer.content.decode()
    policy = answer["Content-Security-Policy"]
    assert "script-src 'self'" in policy and "style-src 'unsafe-inline'" in policy and "img-src data:" in policy
    shutil.rmtree(retailer / "warehouse" / "reports")
