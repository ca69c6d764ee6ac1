"""docs/reference/settings.md: every setting with its type, limits, default and meaning, from Settings itself."""

from __future__ import annotations

from typing import Any

from jobs.platform.settings import Settings

_HEAD = """# Settings

Generated from `jobs/platform/settings.py` by `make docs`; do not edit. A value comes from the command line
(`--top-k 20`), else from the environment (`ATELIER_TOP_K=20`), else from the default. The forms of the DAGs offer the
same names.

| setting | type and limits | default | meaning |
|---|---|---|---|
"""
#: JSON schema's keyword for a limit, and how it is written.
_LIMITS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def page() -> str:
    """The page, a row per setting in the order of their definition."""
    return _HEAD + "".join(_row(name, schema) for name, schema in Settings.model_json_schema()["properties"].items())


def _row(name: str, schema: dict[str, Any]) -> str:
    default = schema.get("default", "required")
    shown = {"required": "required", "None": "none", "[]": "none"}.get(str(default), f"`{_plain(default)}`")
    return f"| `{name}` | {_type(schema)} | {shown} | {schema['description']} |\n"


def _type(schema: dict[str, Any]) -> str:
    if options := schema.get("anyOf"):  # this or null
        return next(_type(option) for option in options if option.get("type") != "null")
    if choices := schema.get("enum"):
        return ", ".join(f"`{choice}`" for choice in choices)
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    limits = [f"{sign} {schema[limit]:g}" for limit, sign in _LIMITS.items() if limit in schema]
    return ", ".join([schema.get("format", schema["type"]), *limits])


def _plain(default: Any) -> str:
    if isinstance(default, list):
        return ",".join(str(value) for value in default)
    return str(default).lower() if isinstance(default, bool) else str(default)
