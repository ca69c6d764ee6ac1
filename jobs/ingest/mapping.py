"""Which file and column of a retailer plays which part: a small TOML file, checked before anything is read."""

from __future__ import annotations

import hashlib
import re
import tomllib
from datetime import date
from pathlib import Path, PurePosixPath
from string import Formatter
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from expectations.articles import ARTICLES
from expectations.contract import Contract
from expectations.customers import CUSTOMERS
from expectations.transactions import MAX_PRICE, TRANSACTIONS
from jobs.ingest.file_format import FileFormat
from jobs.ingest.renamed import newest_ids
from jobs.platform.errors import JobError

BUILT_IN = Path(__file__).with_name("mappings")
#: Columns that ingest itself fills: where a row came from, surrogate keys, and who or what is listed no more.
FILLED = (
    *("source_file", "source_checksum", "customer_key", "article_key"),
    *("is_delisted", "delisted_date", "replaced_by", "has_left", "left_date"),
)

#: What pictures are tagged with where a mapping does not say.
LABELS = (
    *("product_type_name", "product_group_name", "colour_group_name", "graphical_appearance_name"),
    *("index_group_name", "garment_group_name"),
)


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return text


Pattern = Annotated[str, AfterValidator(_pattern)]

#: What a mapping is read as.
Model = TypeVar("Model", bound=BaseModel)


def _leaves(path: str) -> bool:
    """Whether a path leads out of the folder it is to be in."""
    return PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts or "\\" in path or "://" in path


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ColumnSource(_Model):
    """Where a silver column's values come from: a column of the file, or one constant.

    `first_number` takes the first whole number in the text: "45-54" is 45, "65+" is 65.
    """

    column: str | None = None
    constant: int | float | str | None = None
    first_number: bool = False

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"column": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_of_two(self) -> ColumnSource:
        if (self.column is None) == (self.constant is None):
            raise ValueError("give either a column of the file or a constant")
        return self


class Delivered(FileFormat):
    """Files of one kind: `file` is a name, or a glob, below the data folder.

    It may be there compressed (with .gz, say, after its name), or be a folder of files.
    """

    #: The table that the files are for.
    contract: ClassVar[Contract]

    file: str

    @field_validator("file")
    @classmethod
    def _file_is_below_data(cls, file: str) -> str:
        path = PurePosixPath(file)
        if not path.name or _leaves(file) or re.search(r"[*?\[]", str(path.parent)):
            raise ValueError("must be a file or folder below the data folder, with wildcards in its name only")
        return file.rstrip("/")

    @property
    def source_columns(self) -> dict[str, str]:
        """Column of the file -> the part it plays, for every column the file must have."""
        raise NotImplementedError


class TableMapping(Delivered):
    """One silver table: its file (a glob for transactions), and its columns."""

    columns: dict[str, ColumnSource]

    @field_validator("columns")
    @classmethod
    def _columns_are_the_contracts(cls, columns: dict[str, ColumnSource]) -> dict[str, ColumnSource]:
        known = {c.name: c for c in cls.contract.columns if c.name not in FILLED}
        if unknown := sorted(set(columns) - set(known)):
            raise ValueError(f"{', '.join(unknown)}: no such column in {cls.contract.path}")
        # A boolean is false where the retailer has no such column.
        required = [c.name for c in known.values() if not c.nullable and c.type != "boolean"]
        if missing := [name for name in required if name not in columns]:
            raise ValueError(f"{', '.join(missing)} must be given")
        if fixed := [name for name in ("article_id", "customer_id") if name in columns and not columns[name].column]:
            raise ValueError(f"{', '.join(fixed)} must be a column of the file")
        return columns

    @property
    def source_columns(self) -> dict[str, str]:
        """Column of the file -> the part it plays, for every column the file must have."""
        return {source.column: name for name, source in self.columns.items() if source.column is not None}


class ArticlesMapping(TableMapping):
    """`renamed`: old id -> the id that an article goes by now; several old ones are merged by giving the same.

    `id_width`: number of digits of ids that are digits alone; those that lost zeros at their front get them back.
    `attributes`: name -> column of the file, into silver/article_attributes: what silver/articles has no column for.
    """

    contract: ClassVar[Contract] = ARTICLES

    id_pattern: Pattern | None = None
    id_width: int | None = Field(None, ge=1, le=64)
    renamed: dict[str, str] = Field(default_factory=dict)
    attributes: dict[str, str] = Field(default_factory=dict)

    @property
    def source_columns(self) -> dict[str, str]:
        return {column: name for name, column in self.attributes.items()} | super().source_columns

    @field_validator("attributes")
    @classmethod
    def _attributes_have_names_of_their_own(cls, attributes: dict[str, str]) -> dict[str, str]:
        if taken := sorted(set(attributes) & set(cls.contract.column_names)):
            raise ValueError(f"{', '.join(taken)}: a column of {cls.contract.path}; give it under columns")
        return attributes

    @model_validator(mode="after")
    def _renamed_are_ids(self) -> ArticlesMapping:
        newest_ids(self.renamed)
        ids = [each for pair in self.renamed.items() for each in pair]
        if self.id_pattern and (odd := [each for each in ids if not re.fullmatch(self.id_pattern, each)]):
            raise ValueError(f"renamed: {', '.join(odd)}: not like id_pattern")
        return self


class CustomersMapping(TableMapping):
    """`also_from_transactions`: whoever bought is a customer, even where the customers file does not list them.

    Ages below `min_age` or above `max_age` are left empty.
    """

    contract: ClassVar[Contract] = CUSTOMERS

    id_pattern: Pattern | None = None
    id_width: int | None = Field(None, ge=1, le=64)
    also_from_transactions: bool = False
    min_age: int = Field(5, ge=0)
    max_age: int = Field(110, le=130)


class TransactionsMapping(TableMapping):
    """`units` names a column with the number of units in the line (1 .. `max_units`); without it a line is one unit.

    `price_is_line_total`: the price is that of all units of the line together.
    `deliveries`: incremental files hold each purchase once, all together; of cumulative ones the newest holds all.
    `max_overlap`: the part of a file's purchases that another file may have too, of days that both have.
    What is implausible goes to quarantine: days before `first_date` or more than `max_silent_days` from all others,
    prices above `max_price` or more than `price_factor` times lower or higher than usual (jobs.ingest.plausibility).
    """

    contract: ClassVar[Contract] = TRANSACTIONS

    deliveries: Literal["incremental", "cumulative"] = "incremental"
    max_overlap: float = Field(0.5, gt=0, le=1)

    units: str | None = None
    max_units: int = Field(100, ge=1)
    price_is_line_total: bool = False
    first_date: date = date(2000, 1, 1)
    max_silent_days: int = Field(92, ge=1, le=36_600)
    max_price: float = Field(MAX_PRICE, gt=0, le=MAX_PRICE)
    price_factor: float = Field(1_000.0, gt=1)

    @model_validator(mode="after")
    def _total_needs_units(self) -> TransactionsMapping:
        if self.price_is_line_total and self.units is None:
            raise ValueError("price_is_line_total needs units")
        return self

    @property
    def source_columns(self) -> dict[str, str]:
        return super().source_columns | ({self.units: "units"} if self.units else {})


class Mapping(_Model):
    """A retailer's files.

    `images` is the path of an article's picture below the data folder, a `str.format` template of `article_id` and
    `prefix` (its first three characters); None: the retailer has no images. `image_links` is a folder that pictures
    may be links into, a path as the data folder's or one below it: a cache beside the data, as DVC and git-annex have.
    `labels` are columns of silver/articles and attributes that pictures are tagged with (jobs.tagging). A catalogue has
    neither customers nor transactions, a shop has both.
    """

    images: str | None = None
    image_links: str | None = None
    labels: tuple[str, ...] = LABELS
    articles: ArticlesMapping
    customers: CustomersMapping | None = None
    transactions: TransactionsMapping | None = None

    @model_validator(mode="after")
    def _shop_or_catalogue(self) -> Mapping:
        if (self.customers is None) != (self.transactions is None):
            raise ValueError("give customers and transactions, or neither: then it is a catalogue without customers")
        texts = [column.name for column in ARTICLES.columns if column.type == "string" and column.name not in FILLED]
        if unknown := [name for name in self.labels if name not in (*texts, *self.articles.attributes)]:
            raise ValueError(f"labels: {', '.join(unknown)}: neither a text of {ARTICLES.path} nor an attribute")
        return self

    @property
    def has_purchases(self) -> bool:
        """False where it is a catalogue without customers."""
        return self.transactions is not None

    @field_validator("images")
    @classmethod
    def _template(cls, images: str | None) -> str | None:
        fields = {field for _, field, _, _ in Formatter().parse(images or "") if field is not None}
        if images is not None and ("article_id" not in fields or fields - {"article_id", "prefix"}):
            raise ValueError("must contain {article_id}, may contain {prefix}, nothing else in braces")
        if images is not None and _leaves(images):
            raise ValueError("must be a path below the data folder")
        return images

    @property
    def digest(self) -> str:
        """Changes with everything that decides how files become tables."""
        # What a mapping does not use leaves its digest as it was before there was such an option.
        unused: dict[str, Any] = {
            name: {option for option in ("last_column_takes_rest", "multi_line") if not getattr(table, option, False)}
            for name, table in self
            if name in ("articles", "customers", "transactions")
        }
        unused["transactions"] |= {"max_overlap"}
        unused["articles"] |= set() if self.articles.attributes else {"attributes"}
        absent = {name: True for name in ("customers", "transactions") if getattr(self, name) is None}
        text = self.model_dump_json(exclude={"images": True, "image_links": True, "labels": True, **unused, **absent})
        return hashlib.sha256(text.encode()).hexdigest()


class ShopMapping(Mapping):
    """A retailer with customers and purchases."""

    customers: CustomersMapping
    transactions: TransactionsMapping


def require_purchases(name: str) -> ShopMapping:
    """The mapping of a shop; JobError where it is a catalogue without customers, which has nothing for who asks."""
    mapping = load_mapping(name)
    if mapping.customers is None or mapping.transactions is None:
        raise JobError(
            f"mapping {name} has articles and pictures only: there are no customers and no purchases to learn from;"
            " run the DAG catalogue_intelligence (make catalogue), or name customers and transactions in the mapping"
        )
    return ShopMapping(**dict(mapping))


def load_mapping(name_or_path: str) -> Mapping:
    """The mapping of that built-in name (hm, completejourney, fashion_product_images), or in that TOML file.

    Raises JobError, naming file and key, when there is no such mapping or it says something that means nothing.
    """
    return read_mapping(name_or_path, BUILT_IN, Mapping)


def read_mapping(name_or_path: str, built_in: Path, model: type[Model]) -> Model:
    """What a mapping says.

    Args:
        name_or_path: a name among `built_in`, or a TOML file.
        built_in: folder of the mappings that ship.
        model: what it is checked against.

    Raises:
        JobError: naming file and key, there is no such mapping or it says something that means nothing.
    """
    path = Path(name_or_path) if name_or_path.endswith(".toml") else built_in / f"{name_or_path}.toml"
    try:
        return model.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError:
        known = ", ".join(sorted(p.stem for p in built_in.glob("*.toml")))
        raise JobError(f"mapping {name_or_path}: no such mapping; give one of {known}, or a .toml file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise JobError(f"mapping {path}: not a TOML file: {error}") from None
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise JobError(f"mapping {path}: {problems}") from None
