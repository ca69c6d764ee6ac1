"""Asking for articles like any picture, from the command line to the sheet."""

from __future__ import annotations

import re
import shutil
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jobs.embeddings.kinds import KINDS
from jobs.platform.errors import JobError
from jobs.platform.settings import Settings
from jobs.similarity import query
from jobs.similarity.sheet import GAP, HEIGHT, LARGE, PALE, WIDTH, Tile, draw_sheet
from tests.jobs.embeddings import drawn
from tests.jobs.similarity.conftest import N


@pytest.fixture
def ask(embedded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Run the command; its exit code, lines and complaint."""

    def asked(image: Path | None, *arguments: str) -> tuple[int, list[str], str]:
        places = [
            "--warehouse",
            str(embedded / "warehouse"),
            "--data",
            str(embedded),
            "--out",
            str(tmp_path / "sheet.png"),
        ]
        method = ["--method", "cosine_catalogue"]
        asked = ["--image", str(image)] if image else []
        code = query.main([*asked, *places, *method, *arguments])
        said = capsys.readouterr()
        return code, said.out.splitlines(), said.err

    return asked


def test_a_picture_finds_its_article_and_then_its_likes(ask, embedded: Path, tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    shutil.copy(drawn.image_path(embedded, 1), photo)
    code, lines, complaint = ask(photo, "--top", "3")
    assert (code, complaint) == (0, "")
    assert lines[0].split() == ["rank", "article", "name", "type", "colour", "score"]
    first, second = lines[1].split(), lines[2].split()
    # Without a name; articles 7 and 13 have the same garment and colour.
    assert first == ["1", drawn.article_id(1), "-", "Sweater", "Blue", "1.0000"]
    assert second[1] in (drawn.article_id(7), drawn.article_id(13))
    assert second[2:5] == ["-", "Sweater", "Blue"] and 0 < float(second[5]) < 1
    assert len(lines) == 5 and lines[4] == f"3 articles by cosine_catalogue; sheet: {tmp_path / 'sheet.png'}"
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert tuple(sheet[GAP + 200, GAP + 150]) == pytest.approx(drawn.COLOURS["Blue"], abs=12)


def test_a_pick_whose_picture_is_gone_is_grey(ask, embedded: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    code, lines, _ = ask(drawn.image_path(embedded, 8), "--top", "100", "--data", str(tmp_path))
    assert code == 0 and len(lines) == N - 1 + 2  # all that have a vector
    place = (3 * GAP + int(LARGE * WIDTH) + 50, GAP + 50)
    assert Image.open(tmp_path / "sheet.png").getpixel(place) == PALE


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "no such file"),
        (b"", "empty file"),
        (b"not a picture", "not an image of a known format"),
        (b"\xff\xd8\xff\xe0 half a JPEG", "Truncated File Read"),
    ],
)
def test_what_is_no_picture_is_said_in_one_line(ask, tmp_path: Path, content: bytes | None, complaint: str) -> None:
    photo = tmp_path / "photo.jpg"
    if content is not None:
        photo.write_bytes(content)
    code, lines, said = ask(photo)
    assert (code, lines) == (2, []) and not (tmp_path / "sheet.png").exists()
    assert said == f"ERROR similarity.query: {photo}: {complaint}\n"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--method", "by_smell"], "--method by_smell: unknown; one of cosine_efficientnet_lite0, "),
        (["--method", "cosine_resnet50"], "method cosine_resnet50: its encoder resnet50 was never fitted"),
        (["--embedding-dim", "3"], f"has no vector of encoder {KINDS['catalogue']}-"),
        (["--embedding-dim", "many"], "--embedding-dim: Input should be a valid integer"),
        (["--top", "0"], "top 0: not from 1 to 100"),
        (["--top", "-1"], "top -1: not from 1 to 100"),
        (["--top", "1000000000000"], "top 1000000000000: not from 1 to 100"),
        (["--out", "/nowhere/sheet.png"], "--out /nowhere/sheet.png: not a .png file in a folder that exists"),
        (["--warehouse", "nowhere"], "nowhere/gold/article_embeddings: no such table"),
    ],
)
def test_what_cannot_be_asked_is_said_in_one_line(ask, embedded: Path, arguments: list[str], complaint: str) -> None:
    code, lines, said = ask(drawn.image_path(embedded, 1), *arguments)
    assert (code, lines) == (2, []) and said.count("\n") == 1
    assert said.startswith("ERROR similarity.query: ") and complaint in said
    assert not Path("nowhere").exists()


@pytest.mark.parametrize("top", [0, -1, 101, True, 2.5, None, "3"])
def test_find_takes_no_other_number(top: object) -> None:
    with pytest.raises(JobError, match=re.escape(f"top {top!r}: not from 1 to 100")):
        query.find(Settings(as_of_date=date(2020, 9, 16)), top, image=b"")  # type: ignore[arg-type]


@pytest.mark.parametrize("path", ["", ".", "/dev/null", "a\0b", "x" * 5000, "circle"])
def test_a_path_without_a_picture_is_one_line(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("circle").symlink_to("circle")
    with pytest.raises(
        JobError, match=r"^.+: (not a file|cannot be read: .+|.*null byte|Symlink loop.*|no such file)$"
    ):
        query.picture_of(Path(path))


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        query.main(["--help"])
    said = capsys.readouterr().out
    assert "--image photo.jpg" in said and "methods: cosine_efficientnet_lite0" in said and "eigenfaces" in said


def test_a_sheet_of_many_has_rows_and_of_none_its_query_only() -> None:
    assert draw_sheet([Tile(None, ("x" * 200,))] * 12).height > 2 * HEIGHT
    assert draw_sheet([Tile(None, ())]).size == draw_sheet([Tile(None, ())] * 2).size
    assert draw_sheet([Tile(b"no picture", ())] * 2).getpixel((GAP + WIDTH, GAP + 50)) == PALE


def test_the_default_method_sees_garment_and_colour(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Joined vectors from the job to the answer: the article itself, then one of its colour (12 teach no more)."""
    drawn.publish_articles(tmp_path, range(12))
    for i in range(12):
        drawn.draw(tmp_path, i)
    said = drawn.run(tmp_path, encoder="efficientnet_lite0_colour")
    assert "12 newly embedded; type weighed " in said and ", joined 1489 to" in said
    places = ["--warehouse", str(tmp_path / "warehouse"), "--data", str(tmp_path), "--out", str(tmp_path / "sheet.png")]
    assert query.main(["--image", str(drawn.image_path(tmp_path, 1)), *places, "--top", "2"]) == 0
    first, second = (line.split() for line in capsys.readouterr().out.splitlines()[1:3])
    assert first[1] == drawn.article_id(1) and float(first[-1]) == pytest.approx(1, abs=1e-3)
    assert second[1] in {drawn.article_id(i) for i in (4, 7, 10)}
