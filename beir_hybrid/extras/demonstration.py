"""A folder's name in; encoders trained, judged, compared and indexed in it out: the quick start."""
# mypy: allow-untyped-calls
# (ir_measures says that it is typed, and leaves most functions without types.)

import io
import json
import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ir_measures import AP, R

from beir_hybrid.errors import MissingExtra
from beir_hybrid.files import atomic_file, atomic_folder, file_lock
from beir_hybrid.measures.base import LanguagePreference, RankDistance, SameLanguageShare
from beir_hybrid.results.render import figure
from beir_hybrid.results.results import Estimate, Results
from beir_hybrid.sources import load

if TYPE_CHECKING:
    from beir_hybrid.collection import Collection

STRATEGIES = ("x-x-mono", "x-y", "hybrid")
MODELS, RESULTS, INDEX, SITE, START = "models", "results", "index", "site", "start"
MEASURES = (
    AP,
    R @ 1,
    R @ 10,
    RankDistance,
    RankDistance(normalized=True),
    LanguagePreference,
    SameLanguageShare @ 10,
)
STEPS, BATCH, SEED, RATE = 400, 128, 1, 0.05
_TOKENS, _DIM = 8192, 128  # of the encoder
_DEPTH = 10  # passages of a run: enough to look at, and the measures see exact ranks
_NEEDED = ("babel", "accelerate", "jinja2", "matplotlib")


def quickstart(
    output: str | Path = "quickstart",
    *,
    languages: Iterable[str] | None = None,
    max_steps: int = STEPS,
) -> dict[str, Results]:
    """Train an encoder with each kind of batch, judge, compare and index; return the results.

    Everything is made here, with no network: questions and answers in 11 languages (the dataset
    ``quickstart``, a demonstration and no benchmark), and one small `StaticEmbedding` for each of
    the strategies ``x-x-mono``, ``x-y`` and ``hybrid``, alike in all but the batches.

    `output` gets ``models/STRATEGY`` (see `bh.train`), ``results/STRATEGY`` with the runs of every
    setting, ``index``, which Pyserini opens, of the strategy with the best multilingual AP, and
    ``site/index.html``, the leaderboard. A run that was killed goes on, and a second one finds
    everything there.

    Parameters
    ----------
    languages
        Of the collection; all by default.
    max_steps
        Of each training.
    """
    _check_extras()
    folder = Path(output)
    trainings = len(STRATEGIES)
    with file_lock(folder / "quickstart"), _stages(2 * trainings + 3) as stage:
        stage("making questions and answers")
        train, test = (load("quickstart", languages, split=part) for part in ("train", "test"))
        found = {name: _trial(name, train, test, folder, max_steps, stage) for name in STRATEGIES}
        stage("indexing")
        best = best_of(found)
        _index(folder, best, test)
        stage("writing the pages")
        _write_site(folder)
    return found


def best_of(results: Mapping[str, Results]) -> str:
    """Return the strategy with the best multilingual AP."""
    return max(results, key=lambda name: results[name].summary()["multi"][AP].mean)


def table(results: Mapping[str, Results]) -> tuple[list[str], list[list[str]]]:
    """Return headings and a row for each strategy, in the shape of the paper's tables."""
    shown: dict[str, Any] = {
        "mAP mono": (AP, "mono"),
        "mAP cross": (AP, "cross"),
        "mAP multi": (AP, "multi"),
        "R@1 mono": (R @ 1, "mono"),
        "rank distance": (RankDistance, "multi"),
    }
    rows = [
        [name, *(_cell(one.summary()[kind][measure]) for measure, kind in shown.values())]
        for name, one in results.items()
    ]
    return ["batches", *shown], rows


def notes(results: Mapping[str, Results], output: str | Path) -> list[str]:
    """Return what a reader must know of the table, and where to go on."""
    folder, best = Path(output), best_of(results)
    collection = next(iter(results.values())).provenance.collection
    record = json.loads((folder / MODELS / best / "training.json").read_text("utf-8"))
    arguments = record["recipe"]["arguments"]
    page = (folder / SITE / "index.html").resolve().as_uri()
    return [
        (
            f"{collection.queries:,} questions in {len(collection.languages)} languages, "
            f"{collection.passages:,} passages; ± half of the 95% interval; rank distance: the "
            "lower, the less it matters which language an answer is in"
        ),
        (
            f"each trained for {record['steps']:,} steps of {BATCH} pairs, with seed "
            f"{arguments['seed']}; x-x-mono: a batch is in one language; x-y: question and answer "
            "differ in language; hybrid: batches of both kinds"
        ),
        (
            f"the texts are generated from Unicode CLDR (babel {collection.options['babel']}): "
            "this is a demonstration, and no benchmark"
        ),
        f"index of {best}, for Pyserini: {folder / INDEX}",
        f"open {page}",
    ]


def _cell(found: Estimate) -> str:
    return f"{figure(found.mean)} ±{figure((found.high - found.low) / 2)}"


def _check_extras() -> None:
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise MissingExtra(
            f"the quick start needs {', '.join(missing)}: pip install 'beir-hybrid[quickstart]'"
        )


@contextmanager
def _stages(total: int) -> Iterator[Callable[[str], None]]:
    """Give a function to call as each stage begins; a bar on a terminal is all that shows."""
    from rich import progress
    from rich.console import Console

    console = Console(file=sys.stderr)
    columns = (progress.TextColumn("{task.description}"), progress.BarColumn(),
               progress.MofNCompleteColumn(), progress.TimeElapsedColumn())  # fmt: skip
    with progress.Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("", total=total, completed=-1)

        def begin(what: str) -> None:
            bar.update(task, advance=1, description=what)

        # Bars, tables and remarks of what is called are too many here.
        with redirect_stderr(io.StringIO()), redirect_stdout(io.StringIO()), _quiet_training():
            yield begin


@contextmanager
def _quiet_training() -> Iterator[None]:
    """Keep what batches leave out to `training.json`."""
    logger = logging.getLogger("beir_hybrid.training")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _trial(
    name: str,
    train: "Collection",
    test: "Collection",
    folder: Path,
    max_steps: int,
    stage: Callable[[str], None],
) -> Results:
    """Train and judge with one strategy, unless that is done."""
    from beir_hybrid.evaluation.evaluate import evaluate
    from beir_hybrid.training.record import MODEL, digest_of

    stage(f"training {name}")
    place = folder / RESULTS / name
    key = json.dumps({
        "train": digest_of(train), "test": digest_of(test), "steps": max_steps, "batch": BATCH,
        "seed": SEED, "rate": RATE, "tokens": _TOKENS, "dim": _DIM,
        "measures": [str(measure) for measure in MEASURES],
    })  # fmt: skip
    made = place / "made.json"  # of what, for a second call
    done = made.is_file() and made.read_text("utf-8") == key
    if not done:
        _train(name, train, folder, max_steps)
    stage(f"judging {name}")
    if done:
        return Results.load(place)
    results = evaluate(
        folder / MODELS / name / MODEL, test, measures=MEASURES, name=name, runs=place / "runs",
        depth=_DEPTH, store=folder / "embeddings", device="cpu", batch_size=256,
    )  # fmt: skip
    results.save(place)
    with atomic_file(made) as temporary:
        temporary.write_text(key, "utf-8")
    return results


def _train(name: str, collection: "Collection", folder: Path, max_steps: int) -> None:
    from beir_hybrid.pairs.reading import pairs_from_collection
    from beir_hybrid.training.train import train

    train(
        _start(collection, folder / START),
        pairs_from_collection(collection),
        folder / MODELS / name,
        strategy=name,
        max_steps=max_steps,
        per_device_train_batch_size=BATCH,
        learning_rate=RATE,
        warmup_steps=max_steps // 10,
        seed=SEED,
        dataloader_drop_last=True,
        encoder={"device": "cpu"},
        use_cpu=True,
        disable_tqdm=True,
        report_to=[],
        logging_strategy="no",
        save_strategy="no",
    )


def _start(collection: "Collection", folder: Path) -> Path:
    """Return the encoder that all trainings start from: word pieces and a random vector for each.

    Pieces are those of the training texts. Words that are not set apart, as in Thai and Chinese,
    are found within the sentences by how often their letters come together.
    """
    if folder.is_dir():
        return folder
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    tokenizer: Any = Tokenizer(models.BPE(unk_token="[UNK]"))  # noqa: S106 - no password
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(vocab_size=_TOKENS, special_tokens=["[UNK]"], show_progress=False)
    texts = [t for table in (collection.queries, collection.passages) for t in table["text"]]
    tokenizer.train_from_iterator((text.as_py() for text in texts), trainer)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        embedding = StaticEmbedding(tokenizer, embedding_dim=_DIM)
    model = SentenceTransformer(modules=[embedding], device="cpu")
    with atomic_folder(folder) as temporary:
        model.save_pretrained(str(temporary))
    return folder


def _index(folder: Path, best: str, test: "Collection") -> None:
    from beir_hybrid.pyserini.index import build_index
    from beir_hybrid.training.record import MODEL

    model = folder / MODELS / best / MODEL
    build_index(
        model, test, folder / INDEX, store=folder / "embeddings", device="cpu", batch_size=256
    )


def _write_site(folder: Path) -> None:
    from beir_hybrid.report.site import leaderboard

    leaderboard([folder / RESULTS / name for name in STRATEGIES], folder / SITE)
