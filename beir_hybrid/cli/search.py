"""The commands that search: BM25 in every setting, fused runs, an index for one query."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from beir_hybrid.cli.flatten import Group
from beir_hybrid.cli.options import (
    Dataset,
    LoadOptions,
    Measures,
    ResultsOptions,
    parse_measure_names,
    set_offline,
)
from beir_hybrid.cli.printing import Json, echo, print_json, print_table
from beir_hybrid.errors import BadOption

if TYPE_CHECKING:
    from beir_hybrid.collection import Collection
    from beir_hybrid.pyserini.search import SearchResults
    from beir_hybrid.results.results import Results


@dataclass(frozen=True)
class BM25Options:
    """The settings and measures of BM25, and its parameters."""

    settings: Annotated[
        list[str] | None,
        typer.Option(
            help="Kinds of settings, with commas between: mono, cross, multi. Default: all that "
            "the collection has.",
            metavar="KINDS",
        ),
    ] = None
    measures: Measures = None
    name: Annotated[str, typer.Option(help="The name in the results.")] = "BM25"
    k1: Annotated[float, typer.Option(help="How slowly a term's repetition saturates.")] = 0.9
    b: Annotated[float, typer.Option(help="How much long passages lose, from 0 to 1.")] = 0.4
    depth: Annotated[
        int, typer.Option(help="Passages to keep per query; measures see no more.")
    ] = 1000

    @property
    def setting_names(self) -> str | None:
        """The kinds of settings as one text; None for the default."""
        return None if self.settings is None else " ".join(self.settings)


@dataclass(frozen=True)
class QueryOptions:
    """The language of the query, and a model that is not the one named in the index."""

    query_lang: Annotated[
        str | None,
        typer.Option(
            help="The language of the query, for a calibrated index; detected by default.",
            metavar="LANG",
        ),
    ] = None
    model: Annotated[
        str | None, typer.Option("--model", help="Another copy of the model.", metavar="MODEL")
    ] = None
    force: Annotated[
        bool, typer.Option("--force", help="Accept a model that is not the index's.")
    ] = False
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run code that comes with the model.")
    ] = False


RunFiles = Annotated[
    list[Path], typer.Argument(help="Two runs or more, in TREC's layout.", metavar="RUN")
]
Method = Annotated[str, typer.Option(help="rrf or interpolation.")]
Alpha = Annotated[
    float | None, typer.Option(help="The first run's weight in an interpolation; 0.5 by default.")
]
RunOutput = Annotated[Path, typer.Option(help="The file for the run.", metavar="FILE")]
FusedDepth = Annotated[int, typer.Option(help="Passages to keep for each query.")]
Index = Annotated[
    Path, typer.Argument(help="A folder that `beir-hybrid index` made.", metavar="INDEX")
]
Query = Annotated[str, typer.Argument(help="The text to search for.", metavar="QUERY")]
Lang = Annotated[str | None, typer.Option(help="The language of passages; all by default.")]
HitCount = Annotated[int, typer.Option("-k", help="Passages to show.")]
IndexedDataset = Annotated[
    str,
    typer.Option(help="Another copy of the dataset that was indexed.", metavar="NAME"),
]


def bm25(
    *, dataset: Dataset, load: LoadOptions, ranking: BM25Options, results: ResultsOptions
) -> None:
    """Evaluate BM25 in every setting, with the analyzer of each language: the baseline.

    Lucene ranks, through Pyserini, with a Java of its own. Indexes are kept in the cache.

    Examples
    --------
    `beir-hybrid bm25 --dataset xquad-r --output bm25`

    `beir-hybrid bm25 --dataset mlqa-r --settings mono,multi --output bm25 --runs`
    """
    parse_measure_names(ranking.measures)  # a wrong name does not wait for the dataset
    results.check([ranking.name])
    results.show(evaluate_bm25(load.load(dataset), ranking, results))


def check_bm25(collection: "Collection", ranking: BM25Options, results: ResultsOptions) -> None:
    """Raise an error, before all work, for what BM25 cannot do, and for results of others."""
    from beir_hybrid.pyserini.bm25 import plan_bm25
    from beir_hybrid.results.replacement import list_request_facts

    measures = parse_measure_names(ranking.measures).get("measures")
    kinds, _ = plan_bm25(collection, measures, ranking.setting_names, ranking.depth)
    if results.has_results:
        facts = list_request_facts(kinds=kinds, depth=ranking.depth)
        facts |= {"kind": "bm25", "k1": ranking.k1, "b": ranking.b}
        results.check_system(ranking.name, facts, collection)


def evaluate_bm25(
    collection: "Collection", ranking: BM25Options, results: ResultsOptions
) -> "Results":
    """Evaluate BM25, unless the folder of the results holds those of another system."""
    from beir_hybrid.pyserini.bm25 import bm25 as evaluate

    check_bm25(collection, ranking, results)
    return evaluate(
        collection,
        k1=ranking.k1,
        b=ranking.b,
        depth=ranking.depth,
        name=ranking.name,
        settings=ranking.setting_names,
        runs=results.runs_folder,
        **parse_measure_names(ranking.measures),
    )


def fuse(
    runs: RunFiles,
    output: RunOutput,
    method: Method = "rrf",
    alpha: Alpha = None,
    depth: FusedDepth = 1000,
) -> None:
    """Fuse several runs into one, such as a dense model's and BM25's.

    Examples
    --------
    `beir-hybrid fuse e5/runs/en-de.trec bm25/runs/en-de.trec --output en-de.trec`

    `beir-hybrid evaluate --run en-de.trec --dataset xquad-r`
    """
    from beir_hybrid.pyserini.fusion import fuse as fuse_runs
    from beir_hybrid.retrieval.runs import check_run_place, write_run

    check_run_place(output)
    run = fuse_runs(runs, method, alpha=alpha, depth=depth)
    write_run(output, run)
    echo(f"{len(run):,} queries in {output}")


def search(
    *,
    index: Index,
    query: Query,
    lang: Lang = None,
    k: HitCount = 10,
    dataset: IndexedDataset = "",
    load: Annotated[LoadOptions, Group(without=("languages",))],
    query_options: QueryOptions,
    as_json: Json = False,
) -> None:
    """Show the best passages of an index for a query.

    The model and the dataset are those from which the index was built. If the query is one of the
    dataset's, its relevant passages are marked.

    Examples
    --------
    `beir-hybrid search e5-index "Who founded the city?" --lang de -k 5`

    `beir-hybrid search my-index "Kdo?" --dataset jsonl -o path=moved.jsonl`
    """
    if load.option and not dataset:
        raise BadOption("--option is an option of --dataset, which is not named")
    set_offline(load.offline)
    collection = load.load(dataset) if dataset else None
    from beir_hybrid.pyserini.search import search_index

    hits = search_index(
        index,
        query,
        language=lang,
        query_language=query_options.query_lang,
        k=k,
        collection=collection,
        model=query_options.model,
        force=query_options.force,
        trust_remote_code=query_options.trust_remote_code or None,
    )
    if as_json:
        print_json(asdict(hits))
    else:
        _print_hits(hits, lang)
        if hits.query_language and not query_options.query_lang:
            from beir_hybrid.languages import name_language

            language = name_language(hits.query_language)
            echo(f"the query was taken for {language}; --query-lang names another language")


def _print_hits(results: "SearchResults", lang: str | None) -> None:
    from beir_hybrid.text import to_one_line

    rows = [
        [
            str(hit.rank),
            f"{hit.score:.4f}",
            hit.lang,
            "*" * hit.gold,
            hit.id,
            to_one_line(hit.text),
        ]
        for hit in results.hits
    ]
    print_table(["rank", "score", "lang", "gold", "id", "text"], rows)
    if results.relevant is None:
        echo("the query is none of the dataset's, so no passage is marked")
    else:
        gold = sum(hit.gold for hit in results.hits)
        location = f" in {lang}" if lang else ""
        echo(f"{gold} of {results.relevant} relevant passages{location} are among these (*)")
