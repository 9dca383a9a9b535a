"""Prompts that models were trained with and users forget, by exact names of models."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Preset:
    """The prompts of queries and passages, and the models that need them."""

    query: str = ""
    passage: str = ""
    models: tuple[str, ...] = ()


_ARCTIC_V1 = "Represent this sentence for searching relevant passages: "

# Each is taken from the model card of the models it names.
PRESETS: dict[str, Preset] = {
    "hybrid": Preset("Query: ", "Passage: "),
    "e5": Preset(
        "query: ",
        "passage: ",
        (
            "intfloat/multilingual-e5-small",
            "intfloat/multilingual-e5-base",
            "intfloat/multilingual-e5-large",
            "intfloat/e5-small",
            "intfloat/e5-base",
            "intfloat/e5-large",
            "intfloat/e5-small-v2",
            "intfloat/e5-base-v2",
            "intfloat/e5-large-v2",
        ),
    ),
    "e5-instruct": Preset(
        "Instruct: Given a web search query, retrieve relevant passages that answer the query\n"
        "Query: ",
        "",
        ("intfloat/multilingual-e5-large-instruct",),
    ),
    "arctic": Preset(
        "query: ",
        "",
        (
            "Snowflake/snowflake-arctic-embed-m-v2.0",
            "Snowflake/snowflake-arctic-embed-l-v2.0",
        ),
    ),
    "arctic-v1": Preset(
        _ARCTIC_V1,
        "",
        (
            "Snowflake/snowflake-arctic-embed-xs",
            "Snowflake/snowflake-arctic-embed-s",
            "Snowflake/snowflake-arctic-embed-m",
            "Snowflake/snowflake-arctic-embed-m-v1.5",
            "Snowflake/snowflake-arctic-embed-l",
        ),
    ),
    # These need no prompt, and are listed to say so.
    "bge-m3": Preset(models=("BAAI/bge-m3",)),
    "labse": Preset(models=("sentence-transformers/LaBSE",)),
    "gte": Preset(models=("Alibaba-NLP/gte-multilingual-base",)),
}

BY_MODEL = {model: preset for preset in PRESETS.values() for model in preset.models}
