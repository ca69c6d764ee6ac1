"""Delivered files as raw rows, each with the line it came from and nothing yet believed about its values.

Raw rows have the columns

- `source_file`, `source_checksum`: the file;
- `source_line`: line in the file where the row starts, header = 1 (row number from 1 for Parquet);
- `raw`: struct of all columns of the file, as they came (text in a CSV);
- `broken_line`: the whole line where it has more or fewer fields than the header or is not UTF-8, else null.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from itertools import groupby, islice
from urllib.parse import quote, unquote

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.ingest.files import SourceFile
from jobs.platform.errors import JobError

_BROKEN = "__broken__"
_RECORDS_PER_BATCH = 20_000


def by_layout(files: Sequence[SourceFile]) -> list[list[SourceFile]]:
    """The files in groups that can be read together: a weekly file may have its columns in another order."""
    ordered = sorted(files, key=lambda file: (file.layout, file.name))
    return [list(group) for _, group in groupby(ordered, key=lambda file: file.layout)]


def read_rows(spark: SparkSession, files: Sequence[SourceFile]) -> DataFrame:
    """Raw rows of files of one layout, read in parallel. A quoted field of a CSV cannot hold a line break here."""
    if files[0].path.suffix == ".parquet":
        return _parquet_rows(spark, files)
    return _csv_lines(spark, files)


def _paths(files: Sequence[SourceFile]) -> list[str]:
    # Spark would take brackets and the like in a folder's name for wildcards.
    return [re.sub(r"([{}\[\]*?\\])", r"\\\1", str(file.path.resolve())) for file in files]


def _origins(spark: SparkSession, files: Sequence[SourceFile], keys: dict[str, list]) -> DataFrame:
    """A broadcast table of what is known about a row from where Spark read it (`file_name`, as Spark encodes it)."""
    by_name = {file.name: file for file in files}
    origins = [by_name[unquote(name)] for name in keys["file_name"]]
    names, checksums = [file.name for file in origins], [file.checksum for file in origins]
    table = pa.table({**keys, "source_file": names, "source_checksum": checksums})
    return F.broadcast(spark.createDataFrame(table))


def _file_name(files: Sequence[SourceFile]) -> Column:
    """Name of the file that a row is read from, as Spark encodes it; a constant where there is but one."""
    return F.lit(quote(files[0].name)) if len(files) == 1 else F.col("_metadata.file_name")


def _parquet_rows(spark: SparkSession, files: Sequence[SourceFile]) -> DataFrame:
    frame = spark.read.parquet(*_paths(files))
    names = [uri.rsplit("/", 1)[1] for uri in frame.inputFiles()]
    return (
        frame.select(
            F.col("_metadata.file_name").alias("file_name"),
            (F.col("_metadata.row_index") + 1).alias("source_line"),
            F.struct(*[_quoted(c) for c in files[0].columns]).alias("raw"),
        )
        .join(_origins(spark, files, {"file_name": names}), "file_name")
        .select("source_file", "source_checksum", "source_line", "raw", F.lit(None).cast("string").alias("broken_line"))
    )


def _csv_lines(spark: SparkSession, files: Sequence[SourceFile]) -> DataFrame:
    lines = spark.read.text(_paths(files), lineSep="\n").select(
        _file_name(files).alias("file_name"),
        F.col("_metadata.file_block_start").alias("block"),
        F.monotonically_increasing_id().alias("position"),
        F.rtrim("value", F.lit("\r")).alias("line"),
    )
    return (
        lines.join(_line_numbers(spark, lines, files), ["file_name", "block"])
        .withColumn("source_line", F.col("position") + F.col("shift"))
        .where((F.col("source_line") > 1) & (F.trim("line") != ""))
        .withColumn("pieces", F.split("line", ","))
        .withColumn("fields", _fields(files[0].columns))
        .select(
            "source_file",
            "source_checksum",
            "source_line",
            F.col("fields").dropFields(_BROKEN).alias("raw"),
            F.when(F.col(f"fields.{_BROKEN}").isNotNull() | ~F.is_valid_utf8("line"), F.make_valid_utf8("line")).alias(
                "broken_line"
            ),
        )
    )


def _fields(columns: Sequence[str]) -> Column:
    """The fields of `line`, null where empty, and the whole line as _BROKEN where their number is wrong.

    A line without a quote is split at its commas (`pieces`), in a fraction of the time of a CSV parser.
    """
    schema = ", ".join(f"`{name.replace('`', '``')}` STRING" for name in (*columns, _BROKEN))
    parsed = F.from_csv("line", F.lit(schema), {"escape": '"', "columnNameOfCorruptRecord": _BROKEN})
    values = [F.nullif(F.get("pieces", F.lit(n)), F.lit("")).alias(name) for n, name in enumerate(columns)]
    broken = F.when(F.size("pieces") != len(columns), F.col("line")).alias(_BROKEN)
    return F.when(F.contains("line", F.lit('"')), parsed).otherwise(F.struct(*values, broken))


def _line_numbers(spark: SparkSession, lines: DataFrame, files: Sequence[SourceFile]) -> DataFrame:
    """For each block of a file the number to add to a row's position to have its line in the file.

    Spark reads a large file in blocks, in any order; within a block positions are consecutive. One cheap pass counts
    the lines of each block (one result row per 128 MB), which places every block without sorting any line.
    """
    counted = lines.groupBy("file_name", "block").agg(F.min("position").alias("first"), F.count("*").alias("lines"))
    keys: dict[str, list] = {"file_name": [], "block": [], "shift": []}
    before: dict[str, int] = {}
    for row in counted.orderBy("file_name", "block").collect():
        keys["file_name"].append(row.file_name)
        keys["block"].append(row.block)
        keys["shift"].append(before.get(row.file_name, 0) + 1 - row.first)
        before[row.file_name] = before.get(row.file_name, 0) + row.lines
    return _origins(spark, files, keys)


def _quoted(name: str) -> Column:
    return F.col(f"`{name.replace('`', '``')}`")


def read_records(spark: SparkSession, file: SourceFile) -> DataFrame:
    """Raw rows of a file whose quoted fields may hold line breaks (a catalogue): a CSV is read by one core, once.

    Raises JobError on a quote that is never closed and on text that is not UTF-8.
    """
    if file.path.suffix == ".parquet":
        return _parquet_rows(spark, [file])
    batches = list(_record_batches(file))
    return (
        spark.createDataFrame(pa.Table.from_batches(batches))
        .withColumn("source_file", F.lit(file.name))
        .withColumn("source_checksum", F.lit(file.checksum))
        .select("source_file", "source_checksum", "source_line", "raw", "broken_line")
    )


def _record_batches(file: SourceFile) -> Iterator[pa.RecordBatch]:
    records = _records(file)
    while chunk := list(islice(records, _RECORDS_PER_BATCH)):
        numbers, rows, broken = zip(*chunk, strict=True)
        columns = [pa.array(values, pa.string()) for values in zip(*rows, strict=True)]
        raw = pa.StructArray.from_arrays(columns, names=list(file.columns))
        arrays = [pa.array(numbers, pa.int64()), raw, pa.array(broken, pa.string())]
        yield pa.RecordBatch.from_arrays(arrays, names=["source_line", "raw", "broken_line"])


def _records(file: SourceFile) -> Iterator[tuple[int, list[str | None], str | None]]:
    """(first line, fields, the line if its number of fields is wrong) of each record after the header."""
    width, last = len(file.columns), 0
    try:
        with file.path.open(encoding="utf-8-sig", newline="") as text:
            reader = csv.reader(text, strict=True)
            for record in reader:
                start, last = last + 1, reader.line_num
                if start == 1 or not record:
                    continue
                if len(record) == width:
                    yield start, list(record), None
                else:
                    yield start, [*record[:width], *[None] * (width - len(record))], ",".join(record)
    except (csv.Error, UnicodeDecodeError) as error:
        raise JobError(f"{file.path}: cannot be read after line {last} ({error}); correct the file") from None
