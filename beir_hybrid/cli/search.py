"""The commands that search: BM25 in every setting, runs made one, an index looked into by eye."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from beir_hybrid.cli.evaluate import Data, Measures, chosen
from beir_hybrid.cli.shared import (
    Json,
    Languages,
    Offline,
    Options,
    load,
    print_json,
    print_table,
    show,
    split,
    stay_offline,
)
from beir_hybrid.errors import BadOption
from beir_hybrid.files import check_writable

Settings = Annotated[
    list[str] | None,
    typer.Option(help="Of mono,cross,multi; those that there are by default.", metavar="KINDS"),
]
K1 = Annotated[float, typer.Option(help="How slowly a term's repetition saturates.")]
B = Annotated[float, typer.Option(help="How much long passages lose, from 0 to 1.")]
Depth = Annotated[int, typer.Option(help="Passages of a run; measures see no more.")]
Output = Annotated[Path | None, typer.Option(help="The folder for the results.", metavar="DIR")]
Runs = Annotated[
    bool,
    typer.Option(
        "--runs", help="Write each setting's run into DIR/runs, too, and remove earlier ones."
    ),
]
Files = Annotated[
    list[Path], typer.Argument(help="Two runs or more, in TREC's layout.", metavar="RUN")
]
Method = Annotated[str, typer.Option(help="rrf or interpolation.")]
Alpha = Annotated[
    float | None, typer.Option(help="The first run's weight in an interpolation; 0.5 by default.")
]
Target = Annotated[Path, typer.Option(help="The file for the run.", metavar="FILE")]
Kept = Annotated[int, typer.Option(help="Passages to keep of each query.")]
Index = Annotated[Path, typer.Argument(help="What `beir-hybrid index` made.", metavar="INDEX")]
Question = Annotated[str, typer.Argument(help="What to look for.", metavar="QUESTION")]
Lang = Annotated[str | None, typer.Option(help="The language of passages; all by default.")]
Best = Annotated[int, typer.Option("-k", help="Passages to show.")]
Source = Annotated[
    str,
    typer.Option(help="Another copy of the dataset that it was built from.", metavar="NAME"),
]
QueryModel = Annotated[
    str | None, typer.Option("--model", help="Another copy of the model.", metavar="MODEL")
]
Force = Annotated[bool, typer.Option("--force", help="Take another model all the same.")]


def bm25(
    dataset: Data,
    languages: Languages = None,
    option: Options = None,
    settings: Settings = None,
    measures: Measures = None,
    k1: K1 = 0.9,
    b: B = 0.4,
    depth: Depth = 1000,
    output: Output = None,
    runs: Runs = False,
    offline: Offline = False,
    as_json: Json = False,
) -> None:
    """Judge BM25 in every setting, with the analyzer of each language: the baseline.

    Lucene ranks, through Pyserini, which brings its own Java. Indexes are kept in the cache.

    Examples
    --------
    `beir-hybrid bm25 --dataset xquad-r --output bm25`

    `beir-hybrid bm25 --dataset mlqa-r --settings mono,multi --output bm25 --runs`
    """
    if runs and output is None:
        raise BadOption("--runs takes --output, the folder that runs go to")
    named = chosen(measures)
    if output is not None:
        check_writable(output / "results")  # before all the work
    collection = load(dataset, split(languages), option, offline)
    from beir_hybrid.pyserini.bm25 import bm25 as judge

    results = judge(
        collection,
        k1=k1,
        b=b,
        depth=depth,
        settings=None if settings is None else " ".join(settings),
        runs=output / "runs" if output and runs else None,
        **named,
    )
    show(results, output, as_json)


def fuse(
    runs: Files,
    output: Target,
    method: Method = "rrf",
    alpha: Alpha = None,
    depth: Kept = 1000,
) -> None:
    """Make one run of several, such as a dense model's and BM25's.

    Examples
    --------
    `beir-hybrid fuse e5/runs/en-de.trec bm25/runs/en-de.trec --output en-de.trec`

    `beir-hybrid evaluate --run en-de.trec --dataset xquad-r`
    """
    from beir_hybrid.pyserini.fusion import fuse as fused
    from beir_hybrid.retrieval.runs import write_run

    run = fused(runs, method, alpha=alpha, depth=depth)
    write_run(output, run)
    typer.echo(f"{len(run):,} queries in {output}")


def search(
    index: Index,
    question: Question,
    lang: Lang = None,
    k: Best = 10,
    dataset: Source = "",
    option: Options = None,
    model: QueryModel = None,
    force: Force = False,
    offline: Offline = False,
    as_json: Json = False,
) -> None:
    """Show the best passages of a dense index for a question, to be looked at.

    The model and the dataset are those that the index was built from. Where the question is one of
    the dataset's, passages judged relevant are marked.

    Examples
    --------
    `beir-hybrid search e5-index "Who founded the city?" --lang de -k 5`

    `beir-hybrid search my-index "Kdo?" --dataset jsonl -o path=moved.jsonl`
    """
    if option and not dataset:
        raise BadOption("--option is an option of --dataset, which is not named")
    stay_offline(offline)
    collection = load(dataset, None, option, offline) if dataset else None
    from beir_hybrid.pyserini.search import search_index as find
    from beir_hybrid.text import to_one_line

    found = find(
        index, question, language=lang, k=k, collection=collection, model=model, force=force
    )
    if as_json:
        print_json(asdict(found))
        return
    headings = ["rank", "score", "lang", "gold", "id", "text"]
    print_table(
        headings,
        [
            [
                str(hit.rank),
                f"{hit.score:.4f}",
                hit.lang,
                "*" * hit.gold,
                hit.id,
                to_one_line(hit.text),
            ]
            for hit in found.hits
        ],
    )
    if found.relevant is None:
        typer.echo("the question is none of the dataset's, so no passage is marked")
    else:
        gold = sum(hit.gold for hit in found.hits)
        where = f" in {lang}" if lang else ""
        typer.echo(f"{gold} of {found.relevant} relevant passages{where} are among these (*)")
