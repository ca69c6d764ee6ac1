"""What pictures say an article is: gold/article_tags, gold/label_audit and gold/tagging_metrics."""

from expectations.articles import ARTICLES
from expectations.contract import Column, Contract, Reference

_LABEL = Column("label", "string", "Column of silver/articles, or attribute, that is tagged")
_ENCODER = Column("encoder", "string", "Encoder version of the vectors, as in article_embeddings")
_TAGGER = Column("tagger_version", "string", "Version of article_tagger in the model registry")


def _probability(name: str, of: str, nullable: bool = False) -> Column:
    return Column(name, "double", of, nullable=nullable, minimum=0, maximum=1)


ARTICLE_TAGS = Contract(
    layer="gold",
    name="article_tags",
    description="What the picture of each article says of each label: the likeliest value, by the champion of "
    "article_tagger. Predicted for every article with a readable picture, whatever the catalogue says. A run adds the "
    "articles that are new or changed, or all of them once another tagger is champion: as of a date the newest rows "
    "until that date hold.",
    columns=(
        Column("as_of_date", "date", "Of the run that gave the tag; runs of earlier dates do not see it"),
        Column("article_id", "string", "Article"),
        _LABEL,
        Column("value", "string", "The likeliest value"),
        _probability("probability", "Its calibrated probability: of tags of probability 0.9 nine in ten are right"),
        Column("is_unknown", "boolean", "The probability is below the label's threshold: better no tag than this one"),
        Column("stated_value", "string", "What the catalogue says; null where it says nothing", nullable=True),
        Column(
            "is_filled_in",
            "boolean",
            "The catalogue says nothing and the tag is known: the recommender takes it for the attribute, as predicted",
        ),
        _ENCODER,
        _TAGGER,
        Column("image_checksum", "string", "SHA-256 of the picture"),
    ),
    key=("as_of_date", "article_id", "label"),
    partition_by=("as_of_date",),
    min_rows=0,
    references=(Reference("article_id", ARTICLES),),
)

LABEL_AUDIT = Contract(
    layer="gold",
    name="label_audit",
    description="Articles whose stated label their picture contradicts, the surest first: what a catalogue manager "
    "opens first. Each is judged by a model fitted on neither it nor another article of its product line.",
    columns=(
        Column("rank", "int", "1 is the surest contradiction", minimum=1, is_unique=True),
        Column("article_id", "string", "Article"),
        _LABEL,
        Column("stated_value", "string", "What the catalogue says"),
        _probability("stated_probability", "Its calibrated probability"),
        Column("value", "string", "What the picture says"),
        _probability("probability", "Its calibrated probability"),
        _ENCODER,
    ),
    key=("article_id", "label"),
    min_rows=0,
    references=(Reference("article_id", ARTICLES),),
)

TAGGING_METRICS = Contract(
    layer="gold",
    name="tagging_metrics",
    description="How right tags are on articles held out of the training, beside a linear probe on the same vectors "
    "and the majority class.",
    columns=(
        Column("report", "string", "tagger, or paper_track: the comparison of paper 004"),
        Column(
            "system",
            "string",
            "What tagged: tagger; frozen, where the tagger tuned the encoder; linear_probe, majority_class, or a CNN of"
            " the paper",
        ),
        _LABEL,
        Column(
            "split",
            "string",
            "How articles were held out: by product line, or one by one, which flatters",
            allowed=("product_line", "random"),
        ),
        Column("metric", "string", "accuracy, balanced_accuracy, macro_f1, calibration_error, answered, ..."),
        Column("value", "double", "Its value"),
        Column("articles", "int", "Articles that it was measured on", minimum=0),
        Column("run_id", "string", "Run that measured it"),
    ),
    key=("report", "system", "label", "split", "metric"),
    partition_by=("report",),
    min_rows=0,
)
