"""A contract's columns as Spark, Arrow and Delta schemas."""

from __future__ import annotations

import pyarrow as pa
from deltalake import Field, Schema
from deltalake.schema import ArrayType, PrimitiveType, StructType

from expectations.contract import Column, Contract

_ARROW = {
    "string": pa.string(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "int": pa.int32(),
    "bigint": pa.int64(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "array<float>": pa.list_(pa.float32()),
    "array<struct<hex:string,share:double>>": pa.list_(pa.struct({"hex": pa.string(), "share": pa.float64()})),
}
_DELTA: dict[str, PrimitiveType | ArrayType] = {
    "string": PrimitiveType("string"),
    "date": PrimitiveType("date"),
    "timestamp": PrimitiveType("timestamp"),
    "int": PrimitiveType("integer"),
    "bigint": PrimitiveType("long"),
    "double": PrimitiveType("double"),
    "boolean": PrimitiveType("boolean"),
    "array<float>": ArrayType(PrimitiveType("float"), contains_null=True),
    "array<struct<hex:string,share:double>>": ArrayType(
        StructType([Field("hex", PrimitiveType("string")), Field("share", PrimitiveType("double"))]), contains_null=True
    ),
}


def arrow_type(column: Column) -> pa.DataType:
    """Arrow type of a contract's column."""
    return _ARROW[column.type]


def arrow_schema(contract: Contract) -> pa.Schema:
    """Arrow schema with the contract's order, types and nullability."""
    return pa.schema([pa.field(c.name, arrow_type(c), nullable=c.nullable) for c in contract.columns])


def delta_schema(contract: Contract) -> Schema:
    """Delta schema with each column's description as its comment, which every engine shows."""
    return Schema(
        [
            Field(c.name, _DELTA[c.type], nullable=c.nullable, metadata={"comment": c.description})
            for c in contract.columns
        ]
    )
