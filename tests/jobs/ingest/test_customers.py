from pathlib import Path

import pytest

from expectations.customers import CUSTOMERS
from expectations.transactions import QUARANTINE
from jobs.ingest import customers, reading
from tests.jobs.ingest.retail import C1, C2, C3, CUSTOMERS_HEADER, job, rows_of, write


@pytest.mark.parametrize("piece", [200, 8 << 20], ids=["an id in several pieces", "all at once"])
def test_customers_typed_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    monkeypatch.setattr(reading, "_PIECE_BYTES", piece)
    d, e = "d" * 64, "e" * 64
    lines = [
        f"{C1},1.0,1.0,ACTIVE,Regularly,24,{'1' * 64}",
        f"{C2},,,PRE-CREATE,None,,",
        f"{C3},1,0,,,49.0,",
        f"{C1},1.0,1.0,ACTIVE,REGULARLY,24,{'1' * 64}",  # the same customer, said in other letters
        f"{C2},,,LEFT CLUB,None,,",  # line 6: the same customer, otherwise
        f"{d},perhaps,NULL,ACTIVE,NONE,old,",  # line 7: kept, without FN and age
        f"{e},,,ACTIVE,NONE,131,",  # line 8: kept, without age
        "F" * 64 + ",,,,,,",  # line 9
        ",,,,,,",  # line 10
    ]
    write(tmp_path / "customers.csv", CUSTOMERS_HEADER, lines)
    said = customers.main(job(customers, None, tmp_path, max_quarantine_share=0.7))
    assert said == "5 rows from customers.csv; 5 rows in quarantine"
    assert rows_of(
        tmp_path,
        CUSTOMERS,
        *("customer_id", "is_fn", "is_active", "club_member_status", "fashion_news_frequency", "age", "postal_code"),
    ) == [
        (C1, True, True, "ACTIVE", "REGULARLY", 24, "1" * 64),
        (C2, False, False, "PRE-CREATE", "NONE", None, None),
        (C3, True, False, None, None, 49, None),
        (d, False, False, "ACTIVE", "NONE", None, None),
        (e, False, False, "ACTIVE", "NONE", None, None),
    ]
    assert rows_of(tmp_path, QUARANTINE, "source_line", "reason") == [
        (6, "customer_id already on an earlier line, with other values"),
        (7, "is_fn unreadable, left empty"),
        (8, "age unreadable, left empty"),
        (9, "customer_id is malformed"),
        (10, "customer_id is empty"),
    ]
    assert customers.main(job(customers, None, tmp_path)).endswith("nothing to do")
