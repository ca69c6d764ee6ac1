"""silver/articles: the catalogue, one row per article."""

from expectations.contract import Column, Contract, Drift, RowChange


def _code(name: str, of: str) -> Column:
    return Column(name, "int", f"Code of the {of}", nullable=True)


def _label(name: str, of: str) -> Column:
    return Column(name, "string", of, nullable=True)


ARTICLES = Contract(
    layer="silver",
    name="articles",
    description="The catalogue as last delivered, and what it listed before: one row per article, attributes as text "
    "and code. Articles that launch later are already listed.",
    columns=(
        Column("article_id", "string", "Article (one product in one colour); text, leading zeros matter"),
        Column("article_key", "int", "Surrogate key: an article keeps it for good", minimum=0, is_unique=True),
        _label("product_code", "Product that the article is a variant of (first 7 digits at H&M)"),
        _label("prod_name", "Product name"),
        _code("product_type_no", "product type"),
        _label("product_type_name", "Product type, such as Trousers or Sweater"),
        _label("product_group_name", "Product group, such as Garment Upper body"),
        _code("graphical_appearance_no", "graphical appearance"),
        _label("graphical_appearance_name", "Pattern, such as Solid or Stripe"),
        _code("colour_group_code", "colour group"),
        _label("colour_group_name", "Colour, such as Dark Blue"),
        _code("perceived_colour_value_id", "perceived colour value"),
        _label("perceived_colour_value_name", "Lightness of the colour, such as Dusty Light"),
        _code("perceived_colour_master_id", "perceived colour master"),
        _label("perceived_colour_master_name", "Base colour, such as Blue"),
        _code("department_no", "department"),
        _label("department_name", "Department"),
        _label("index_code", "Letter of the index"),
        _label("index_name", "Index, such as Ladieswear"),
        _code("index_group_no", "index group"),
        _label("index_group_name", "Index group, such as Menswear"),
        _code("section_no", "section"),
        _label("section_name", "Section"),
        _code("garment_group_no", "garment group"),
        _label("garment_group_name", "Garment group, such as Knitwear"),
        _label("detail_desc", "Description as a shopper reads it"),
        Column("is_delisted", "boolean", "The newest list has it no more: its attributes are the last known"),
        Column("delisted_date", "date", "As-of date from which it is not recommended; null if listed", nullable=True),
        _label("replaced_by", "Article that it goes by now, which has its purchases"),
    ),
    key=("article_id",),
    row_change=RowChange(0.9, None, "a catalogue grows; one that lost a tenth was cut short", unless="is_delisted"),
    drifts=(
        Drift("index_group_name", 0.25, "the catalogue's make-up moves by seasons, not from one file to the next"),
    ),
)
