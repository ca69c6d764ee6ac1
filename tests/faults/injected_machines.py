"""Machines that are set up otherwise than the one this was written on, and parameters that cannot be meant."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tests.faults.campaign import Fault, refused, same
from tests.faults.shop import FEATURES, INGEST, Shop


def on(**variables: str) -> Callable[[Shop], object]:
    """Another environment."""
    return lambda shop: shop.environment.update(variables)


def warehouse(name: str) -> Callable[[Shop], object]:
    """Another name of the warehouse's folder."""
    return lambda shop: setattr(shop, "warehouse_name", name)


def given(**flags: str) -> Callable[[Shop], object]:
    """Other parameters."""
    return lambda shop: shop.flags.update({name.replace("_", "-"): value for name, value in flags.items()})


def long_temporary_folder(shop: Shop) -> None:
    """TMPDIR is longer than the path of a socket may be."""
    folder = shop.folder / ("temporary" * 20)
    folder.mkdir()
    shop.environment["TMPDIR"] = str(folder)


def plain_locale(shop: Shop) -> None:
    """LC_ALL=C, and a warehouse whose name is no ASCII."""
    shop.environment |= {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    shop.warehouse_name = "Größe"


_fault = partial(Fault, "machines", jobs=(*INGEST, *FEATURES[:1]), after="delivered", end=same())
_refused = partial(Fault, "parameters", jobs=INGEST[:1], after="delivered")

FAULTS = (
    _fault("LC_ALL=C and a path with umlauts", plain_locale),
    _fault("a warehouse path with %, &, = and spaces", warehouse("100% of a=b & c")),
    _fault("a warehouse path of 200 characters", warehouse("warehouse" * 22)),
    _fault("a long TMPDIR", long_temporary_folder),
    _fault("TZ east of Greenwich", on(TZ="Asia/Kolkata")),
    _fault("TZ west of Greenwich", on(TZ="America/New_York")),
    _fault("a proxy that answers nothing", on(http_proxy="http://127.0.0.1:9", HTTP_PROXY="http://127.0.0.1:9")),
    _fault("umask 077", lambda shop: setattr(shop, "umask", 0o077)),
    _refused("a Thursday as as-of date", given(as_of_date="2020-09-17"), refused("Thursday")),
    _refused("an as-of date of the year 1", given(as_of_date="0001-01-01"), refused("as_of_date")),
    _refused("a warehouse path with #", warehouse("shop #1"), refused("'#' in a folder's name")),
    _refused("no warehouse", given(warehouse=""), refused("warehouse")),
    _refused("no such data folder", given(data="/nowhere"), refused("/nowhere")),
    _refused("an unknown mapping", given(mapping="nobody"), refused("nobody")),
)
