"""How often the language of a question of XQuAD-R is detected, and that of another language not.

``python -m benchmarks.detection``
"""

import time

import beir_hybrid as bh
from beir_hybrid.calibration.detection import detect_languages


def main() -> None:
    """Print the shares of questions that are detected, for each language and for all."""
    collection = bh.load("xquad-r")
    languages = collection.languages
    print("| language | right | unknown | wrong | unknown without it | ms a question |")
    print("|---|---|---|---|---|---|")
    detect_languages(["warm"], languages)
    rows = []
    for language in languages:
        span = collection.find_query_rows(language)
        texts = collection.queries["text"].slice(span.start, len(span)).to_pylist()
        start = time.perf_counter()
        codes = detect_languages(texts, languages)
        seconds = time.perf_counter() - start
        others = [code for code in languages if code != language]
        n = len(texts)
        right, unknown = codes.count(language) / n, codes.count(None) / n
        rejected = detect_languages(texts, others).count(None) / n
        rows.append((right, unknown, 1 - (right + unknown), rejected, 1000 * seconds / n))
        print_row(language, rows[-1])
    means = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
    print_row("all", means)


def print_row(name: str, values: "tuple[float, ...] | list[float]") -> None:
    """Print shares with four decimals, and milliseconds with two."""
    shares = " | ".join(f"{value:.4f}" for value in values[:-1])
    print(f"| {name} | {shares} | {values[-1]:.2f} |")


if __name__ == "__main__":
    main()
