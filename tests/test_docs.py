"""The pages of docs/ build without a warning, load nothing from elsewhere, and say what is true."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

import beir_hybrid as bh

ROOT = Path(__file__).parent.parent
# What a page loads by itself, other than where its links lead.
LOADED = {
    "audio": "src", "embed": "src", "iframe": "src", "img": "src", "input": "src", "link": "href",
    "object": "data", "script": "src", "source": "src", "video": "src",
}  # fmt: skip


class Loads(HTMLParser):
    """Collects what a page loads."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag == "link" and attributes.get("rel") in ("canonical", "next", "prev"):
            return  # these say where pages lie, and nothing is fetched
        self.addresses += [
            attributes.get(LOADED.get(tag, "")) or "",
            attributes.get("srcset") or "",
        ]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the pages with no network to be had."""
    folder = tmp_path_factory.mktemp("docs") / "site"
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9")
    # The theme speaks of its successor otherwise.
    nowhere["NO_MKDOCS_2_WARNING"] = "1"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | nowhere, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) >= len(list((ROOT / "docs").glob("*.md")))
    for page in pages:
        loads = Loads()
        loads.feed(page.read_text("utf-8"))
        away = [one for one in loads.addresses if re.match(r"(https?:)?//", one)]
        assert not away, page
    for style in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*['\"]?(https?:)?//", style.read_text("utf-8"))


def test_every_page_is_in_the_menu() -> None:
    menu = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["nav"]
    named = set(re.findall(r"[\w-]+\.md", str(menu)))
    assert named == {page.name for page in (ROOT / "docs").glob("*.md")}


def page_text(name: str) -> str:
    return (ROOT / "docs" / name).read_text("utf-8")


def test_the_reference_has_every_public_name(site: Path) -> None:
    shown = set(re.findall(r"heading: bh\.(\w+)", page_text("reference.md")))
    assert shown == set(bh.__all__) - {"BeirHybridError", "__version__"}
    built = (site / "reference.html").read_text("utf-8")
    for name in set(bh.__all__) & set(re.findall(r"heading: bh\.(\w+)", page_text("reference.md"))):
        assert re.search(rf"<h3[^>]*>\s*bh\.{name}\s*<", built), name


def test_every_dataset_has_its_licence_in_the_table() -> None:
    table = (ROOT / "docs" / "cite.md").read_text("utf-8").split("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`([\w-]+)`", row.split("|")[1])}
    assert named == set(bh.datasets())
    for name in ("xquad-r", "mlqa-r", "miracl"):
        licence = bh.datasets()[name].licence
        row = next(row for row in rows if f"`{name}`" in row)
        for one in re.findall(r"CC BY[\w-]* \d\.\d|Apache \d\.\d", licence):
            assert one in row


def test_citation_file_names_the_paper_and_this_version() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert cited["version"] == bh.__version__
    assert cited["preferred-citation"]["url"].endswith("2408.10536")
    families = [author["family-names"] for author in cited["preferred-citation"]["authors"]]
    assert families == ["Elmahdy", "Lin", "Ahmad"]


def test_figures_in_the_pages_stand_in_the_results() -> None:
    """What scale.md takes over from the measurements is there."""
    measured = (ROOT / "benchmarks" / "RESULTS.md").read_text("utf-8")
    reckoned = (ROOT / "benchmarks" / "SCALE.md").read_text("utf-8")
    page = (ROOT / "docs" / "scale.md").read_text("utf-8")
    assert "137,878 passages/s" in page
    assert "137,878" in measured
    for figure in ("155 GPU hours", "19.4", "327 hours", "805", "2.7 hours", "13 minutes"):
        assert figure in page
        assert figure in reckoned


def test_what_helped_training_stands_in_the_results() -> None:
    measured = (ROOT / "benchmarks" / "RESULTS.md").read_text("utf-8")
    page = (ROOT / "docs" / "train.md").read_text("utf-8")
    told = page.split("## What helped, and what did not\n")[1].split("\n## ")[0]
    experiments = {
        "Several processes": "ranks",
        "`temperature` of the loss": "temperature",
        "No gain": "improve-batches",
        "A sentence with its paragraph": "context",
    }
    for start, name in experiments.items():
        (item,) = (item for item in told.split("\n- ") if item.startswith(start))
        section = measured.split(f"\n## hybrid-{name}\n")[1].split("\n## ")[0]
        xquad = section.split("**xquad-r**")[1].split("**mlqa-r-test**")[0]
        figures = re.findall(r"\.\d{4}", item)
        assert figures
        assert [figure for figure in figures if figure not in xquad] == []


def test_table_of_claims_repeats_the_verdicts_of_the_experiments() -> None:
    """Row by row, in the order of the claims; a cell has XQuAD-R's and MLQA-R's."""
    words = {"confirmed": "yes", "contradicted": "no", "not confirmed": "open"}
    measured = (ROOT / "benchmarks" / "RESULTS.md").read_text("utf-8")
    columns = []
    for name in ("minilm-a", "static-a", "static-c"):
        section = measured.split(f"\n## hybrid-{name}\n")[1].split("\n## ")[0]
        claims = section.split("### The paper's claims\n")[1]
        rows = [line.strip("| ").split(" | ")[1:] for line in claims.splitlines() if "| " in line]
        columns.append([", ".join(words.get(word, "-") for word in row) for row in rows[1:]])
    text = measured.split("\n| The paper says |")[1].split("\n\n")[0]
    told = [line.strip("| ").split(" | ")[1:] for line in text.splitlines()[2:]]
    assert len(told) > 5
    assert told == [list(row) for row in zip(*columns, strict=True)][: len(told)]


def test_figures_of_the_readme_stand_in_the_results() -> None:
    measured = (ROOT / "benchmarks" / "RESULTS.md").read_text("utf-8")
    results = (ROOT / "README.md").read_text("utf-8").partition("\n## Results\n")[2]
    rows = [line for line in results.split("\n## ")[0].splitlines() if line.endswith("` |")]
    for row in rows:
        *cells, made = row.strip("| ").split(" | ")
        name = made.strip("`").split()[-1]
        name = f"hybrid-{name}" if "benchmarks.hybrid" in made else name
        section = measured.split(f"\n## {name}\n")[1].split("\n## ")[0]
        for figure in re.findall(r"[\d,]*\.\d+", " ".join(cells[1:])):
            assert figure in section, row
