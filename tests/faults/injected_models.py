"""Registered models that are damaged or lost, and shops with too little to train one on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.faults.campaign import Fault, published, refused
from tests.faults.injected_deliveries import lines_of, write
from tests.faults.injected_files import ARTICLES, CUSTOMERS, PURCHASES
from tests.faults.shop import FEATURES, INGEST, MODEL, PUBLISH, Shop

#: Everything of a week.
WEEK = (*INGEST, *FEATURES, *MODEL, *PUBLISH)


def model_files(shop: Shop) -> list[Path]:
    """The data files of the registered model, the largest first."""
    folders = shop.warehouse.glob("mlflow/artifacts/models/*/artifacts/data")
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return sorted(files, key=lambda path: -path.stat().st_size)


def damaged(change: Callable[[Path], object], suffix: str = "") -> Callable[[Shop], object]:
    """Damage to every file of the registered model, of this suffix if given."""

    def damage(shop: Shop) -> None:
        files = [path for path in model_files(shop) if path.name.endswith(suffix)]
        assert files, f"the registered model has no {suffix} files"
        for path in files:
            change(path)

    return damage


def flip_bit(path: Path) -> None:
    """One bit in the middle of the file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut_short(path: Path) -> None:
    """The file's first half."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def lose_store(shop: Shop) -> None:
    """MLflow's store is gone."""
    shutil.rmtree(shop.warehouse / "mlflow")


def fewer(**rows: int) -> Callable[[Shop], object]:
    """Damage that keeps the last lines of purchases, or the customers or articles bought last and what names them."""

    def damage(shop: Shop) -> None:
        header, lines = lines_of(shop, PURCHASES)
        for column, (what, file) in {1: ("customers", CUSTOMERS), 2: ("articles", ARTICLES)}.items():
            if what in rows:
                head, entities = lines_of(shop, file)
                known = list(dict.fromkeys(line.split(",")[column] for line in reversed(lines)))[: rows[what]]
                write(shop, file, head, [line for line in entities if line.split(",")[0] in known])
                lines = [line for line in lines if line.split(",")[column] in known]
        write(shop, PURCHASES, header, lines[-rows.get("purchases", len(lines)) :])

    return damage


BASELINES = published("baselines, and why in the decision", "no model")
_model = partial(Fault, "models", after="published", jobs=PUBLISH)
_young = partial(
    Fault, "small shops", jobs=WEEK, after="delivered", end=published("baselines, and why in the decision", "no model")
)

PASSED_OVER = published("the champion before, or fallbacks, and why", "passed over")

FAULTS = (
    _model("one bit of each file", damaged(flip_bit), PASSED_OVER),
    _model("trees cut short", damaged(cut_short, ".txt"), PASSED_OVER),
    _model("all files gone", damaged(Path.unlink), PASSED_OVER),
    _model("MLflow's store lost", lose_store, refused("MLflow store")),
    _young("twenty purchases", fewer(purchases=20)),
    _young("one customer", fewer(customers=1, purchases=30)),
    _young("five articles", fewer(articles=5)),
)
