"""What each model of the ablation gets to see, and what is made of its figures."""

from __future__ import annotations

import pyarrow as pa

from jobs.evaluation.protocol import Figure
from jobs.tagging.fill_ablation import BLANK, PREDICTED, STATED, report, variants

TYPE, SECTION = "product_type_name", "section_name"


def test_only_the_labels_come_back_and_only_where_the_tagger_is_sure() -> None:
    stated = pa.table({"article_id": ["1", "2", "3"], TYPE: ["Hat", "Scarf", "Shirt"], SECTION: ["A", "B", "C"]})
    tags = {TYPE: pa.array([None, "Dress"], pa.string()), "season": pa.array(["Summer", "Winter"])}
    found, is_blank = variants(stated, pa.array(["3", "1"]), tags)
    assert is_blank.tolist() == [True, False, True]
    assert found[BLANK][TYPE].to_pylist() == [None, "Scarf", None]
    assert found[PREDICTED][TYPE].to_pylist() == ["Dress", "Scarf", None]
    assert found[STATED][TYPE].to_pylist() == ["Hat", "Scarf", "Shirt"]
    for variant in (BLANK, PREDICTED, STATED):  # no tagger says it, so no model gets it
        assert found[variant][SECTION].to_pylist() == [None, "B", None]


def test_the_report_has_a_line_for_each_model() -> None:
    figures = [
        Figure(system, "all", metric, k, 0.5)
        for system in (PREDICTED, BLANK, STATED)
        for metric, k in (("map", 12), ("recall", 10), ("recall", 100), ("buyers", 0))
    ]
    figures += [Figure(PREDICTED, "all", f"map_minus_{other}", 12, 0.01, 0.002, 0.02) for other in (BLANK, STATED)]
    lines = report(figures, "Words.").split("\n")
    assert len(lines) == 2 + 2 + 3
    assert lines[4] == "| all | 0 | blank | 0.5000 | 0.5000 | 0.5000 | +0.0100 (+0.0020 to +0.0200) |"
    assert lines[5].endswith("| predicted | 0.5000 | 0.5000 | 0.5000 |  |")
