"""gold/image_features: colours and outline of each product picture."""

from expectations.articles import ARTICLES
from expectations.contract import Column, Contract, Drift, Reference, RowChange

_SHAPE = "; null without a silhouette"

#: Names that a colour can be called by: the eleven basic colour terms, and two that fashion cannot do without.
COLOUR_NAMES = (
    "black",
    "white",
    "grey",
    "red",
    "orange",
    "yellow",
    "green",
    "turquoise",
    "blue",
    "purple",
    "pink",
    "brown",
    "beige",
)

#: What every table about pictures says of an article's file, and by how much that may change.
IMAGE_FILE = (
    Column("article_id", "string", "Article"),
    Column("image_status", "string", "ok, missing or broken", allowed=("ok", "missing", "broken")),
    Column(
        "image_error",
        "string",
        "Why a broken image could not be read; of an ok one what was converted (CMYK, 16 bits, animated)",
        nullable=True,
    ),
    Column("image_checksum", "string", "SHA-256 of the image file; null if missing", nullable=True),
)
AS_MANY_AS_ARTICLES = RowChange(0.9, None, "as many as the catalogue, which grows")
MISSING_IMAGES = Drift("image_status", 0.25, "with 1 % of the images missing, 0.25 is reached when a tenth is")


def _shape(name: str, description: str, maximum: float | None = None) -> Column:
    return Column(name, "double", f"{description}{_SHAPE}", nullable=True, minimum=0, maximum=maximum)


IMAGE_FEATURES = Contract(
    layer="gold",
    name="image_features",
    description="Colours and outline of each article's picture, one row per article of the catalogue. An article whose "
    "image is missing or broken has a row that says so, and nulls in all columns that a picture determines.",
    columns=(
        *IMAGE_FILE,
        Column(
            "method",
            "string",
            "Version, tolerance and limit that the row was computed by; rows of another are computed anew",
        ),
        Column("image_width", "int", "Width of the upright picture in pixels", nullable=True, minimum=1),
        Column("image_height", "int", "Height of the upright picture in pixels", nullable=True, minimum=1),
        Column("image_aspect", "double", "Width by height of the picture", nullable=True, minimum=0),
        Column(
            "has_silhouette",
            "boolean",
            "The garment could be separated from a pale, even background that reaches the picture's border and shows "
            "through holes; else colours are those of the whole picture",
            nullable=True,
        ),
        Column("background_colour", "string", "Colour of that background, as #rrggbb", nullable=True),
        Column("dominant_colour", "string", "First of `colours`, as #rrggbb", nullable=True),
        Column("dominant_share", "double", "Its share", nullable=True, minimum=0, maximum=1),
        Column(
            "dominant_colour_name",
            "string",
            "Nearest of these names to dominant_colour",
            nullable=True,
            allowed=COLOUR_NAMES,
        ),
        Column(
            "colours",
            "array<struct<hex:string,share:double>>",
            "Dominant colours of the garment, the most frequent first: mean of all colours nearer than the tolerance, "
            "and their share of the garment's pixels; shares add up to less than 1 where rare colours are left out",
            nullable=True,
        ),
        _shape("garment_share", "Share of the picture that the garment covers", 1),
        _shape("garment_aspect", "Width by height of the upright box around the garment"),
        _shape("garment_fill", "Share of that box that the garment covers", 1),
        _shape("garment_solidity", "Share of its convex hull that the garment covers", 1),
        Column(
            "hu_moments",
            "array<float>",
            "Hu's seven moments of the silhouette, each as sign(h) log10(1 + abs(h) 10^10): the same wherever, how "
            f"large and at which angle the garment is shown; mirrored, the last changes its sign{_SHAPE}",
            nullable=True,
        ),
        Column(
            "colour_group_distance",
            "double",
            "CIEDE2000 distance from the median dominant colour of the articles of the same colour_group_name (1 can "
            "just be seen, 15 is another colour) to the nearest of the colours that cover a fifth of this garment; "
            "null without such a name or in a small group",
            nullable=True,
            minimum=0,
        ),
        Column(
            "is_colour_unusual",
            "boolean",
            "That distance is far more than usual in its group: picture or colour_group_name is probably wrong; null "
            "where the distance is",
            nullable=True,
        ),
    ),
    key=("article_id",),
    min_rows=0,
    references=(Reference("article_id", ARTICLES),),
    row_change=AS_MANY_AS_ARTICLES,
    drifts=(
        MISSING_IMAGES,
        Drift("dominant_colour_name", 0.25, "the catalogue's colours move by seasons, not from one run to the next"),
    ),
)
