"""The settings of a task: plain values, as a command line or a YAML file gives them."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class TaskSettings:
    """Which data, how it is split, and how it is fed to the encoder.

    Settings that a task does not use must keep their default; `load_corpus` says so when they do not.

    Attributes:
        name: The task: pos, dep, ps_role, ps_fxn, trec50, trec6, bbc_topics, text_classification,
            token_classification or pair_classification; any name where ``kind`` says how it is read.
        kind: One's own data under a name of its own: text_classification, token_classification or
            pair_classification. None takes the name.
        data_dir: Folder with the source files of the paper's tasks; missing ones are downloaded into it.
            Relative paths of one's own data files are looked up from the working directory, then here.
        download: Whether missing files may be downloaded.
        validation_fraction: Share of the training texts that becomes the validation split, in [0, 1).
            Ignored where the data has a validation split of its own.
        test_fraction: Share of the texts that becomes the test split, in [0, 1). Only used for one's own
            data without a test split.
        split_seed: Decides which texts are carved out; independent of the seed of the training.
        limit_train_texts: Keep at most this many training texts, of every label first; None keeps all.
        limit_test_texts: The same for test and validation.
        max_length: Longest input in subwords, special ones included; None takes the tokenizer's own limit.
        allow_truncation: Whether inputs over the limit may be cut. Targets that are lost are counted.
        allow_dropped_words: Whether words that are empty, or that the tokenizer turns into nothing, may be left out
            with their labels (counted).
        text_part: bbc_topics: "headline" or "article".
        dataset: One's own data: a Hugging Face dataset id, a folder, what ``save_to_disk`` wrote, or a file
            (.csv, .tsv, .json, .jsonl, .parquet, .conllu; words in columns: .conll, .txt, ...).
        dataset_config: Name of the dataset's configuration, for ids that have several.
        dataset_revision: Commit, tag or branch of the dataset id; pin it to make a run repeatable.
        data_files: Local files by split, instead of ``dataset``: {train: a.csv, test: b.csv}; None = there is none.
        train_split: Name of the training split.
        validation_split: Name of the validation split; None carves ``validation_fraction``.
        test_split: Name of the test split; None carves ``test_fraction``. So does the usual name "test" where the
            data has no such split (a note says so).
        encoding: Encoding of text files, such as latin-1.
        quoting: Whether quotation marks quote in .csv and .tsv files; None = in .csv they do, in .tsv they are text.
        column_names: Names of the columns of .csv and .tsv files without a header line.
        on_empty: What to do about rows without a text, words or a label: "error" or "skip" (counted).
        text_column: Column with the raw text.
        text_pair_column: text_classification: column with a second text, which is read together with the first.
        label_column: Column with the label of a text or a pair.
        words_column: Column with the list of words; in files of columns its number from 0 (the first by default).
        labels_column: Column with the list of labels, one a word. In CoNLL-U: upos, xpos or deprel; in files of
            columns its number, -1 for the last (the default).
        sentence_column: token_classification: column with the sentence's name or number, in tables with one word
            a row; blank = as in the row above.
        tags: token_classification: "bio" leaves labels as they are, "type" takes B- and I- off them.
        ignore_labels: Labels whose examples are left out (counted in the corpus's notes).
        pair_format: pair_classification: "word_index" (two columns with 0-based word positions),
            "char_span" (four columns with character offsets, end exclusive) or "markers" (in the text).
        first_column: word_index: position of the first word of the pair (in CoNLL-U: its head).
        second_column: word_index: position of the second word.
        first_start_column: char_span: first character of the first word.
        first_end_column: char_span: the character after the first word.
        second_start_column: char_span: first character of the second word.
        second_end_column: char_span: the character after the second word.
        markers: markers: opening and closing marker of the first word, then of the second.
    """

    name: str = "bbc_topics"
    kind: str | None = None
    data_dir: str | None = None
    download: bool = True
    validation_fraction: float = 0.0
    test_fraction: float = 0.0
    split_seed: int = 0
    limit_train_texts: int | None = None
    limit_test_texts: int | None = None
    max_length: int | None = None
    allow_truncation: bool = False
    allow_dropped_words: bool = False
    text_part: str = "headline"
    dataset: str | None = None
    dataset_config: str | None = None
    dataset_revision: str | None = None
    data_files: dict[str, str | None] = field(default_factory=dict)
    train_split: str = "train"
    validation_split: str | None = None
    test_split: str | None = "test"
    encoding: str = "utf-8"
    quoting: bool | None = None
    column_names: list[str] = field(default_factory=list)
    on_empty: str = "error"
    text_column: str = "text"
    text_pair_column: str | None = None
    label_column: str = "label"
    words_column: str = "tokens"
    labels_column: str = "tags"
    sentence_column: str | None = None
    tags: str = "bio"
    ignore_labels: list[str] = field(default_factory=list)
    pair_format: str = "word_index"
    first_column: str = "first"
    second_column: str = "second"
    first_start_column: str = "first_start"
    first_end_column: str = "first_end"
    second_start_column: str = "second_start"
    second_end_column: str = "second_end"
    markers: list[str] = field(default_factory=lambda: ["<e1>", "</e1>", "<e2>", "</e2>"])

    @property
    def read_as(self) -> str:
        """What decides how the data is read: the kind, or else the name."""
        return self.kind or self.name

    @property
    def split_names(self) -> set[str]:
        """Names of the splits that are wanted: others need not be read."""
        return {name for name in (self.train_split, self.validation_split, self.test_split) if name is not None}
