"""The user's own data: labelled texts or pairs of texts, labelled words, and labelled pairs of words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from closerlook.data.cell_values import IGNORED_INDEX, refuse_numbers, require_label, whole_floats_as_integers
from closerlook.data.corpus import Corpus, LabeledText, Level, Target
from closerlook.data.data_errors import DataError, EmptyValueError
from closerlook.data.entity_tags import entity_type, has_prefix
from closerlook.data.own_rows import ROWS, Row, gather_sentences
from closerlook.data.own_sources import OwnSource, Part, read_source
from closerlook.data.pairs import PAIR_FORMATS
from closerlook.data.readers.conllu import ConlluWord, Sentence
from closerlook.data.readers.table import Table
from closerlook.data.splits import build_corpus, carve
from closerlook.data.task_settings import TaskSettings

LEVELS: dict[str, Level] = {
    "text_classification": "sentence",
    "token_classification": "word",
    "pair_classification": "pair",
}
"""What an example of each task is."""

CONLLU_LABELS = ("upos", "xpos", "deprel")


def own_corpus(settings: TaskSettings) -> Corpus:
    """The corpus of the user's own data.

    ``text_classification`` reads labelled texts (or pairs of texts), ``token_classification`` lists of words with
    lists of labels, ``pair_classification`` labelled pairs of words, one a row. In CoNLL-U every word has its label,
    and every (head, modifier) pair its relation.

    Raises:
        DataError: The data cannot be read, a column is missing, a value is not what it must be.
    """
    return corpus_of(settings, read_source(settings))


def corpus_of(settings: TaskSettings, source: OwnSource) -> Corpus:
    """The corpus of what was read already; see :func:`own_corpus`.

    Raises:
        DataError: A column is missing, a value is not what it must be.
    """
    _check_choices(settings)
    names, notes = _split_names(settings, source)
    reader = _Reader(settings)
    splits = {split: tuple(reader.texts(source.splits[name], split)) for split, name in names.items()}
    refuse_numbers(settings.name, reader.labels)
    if settings.tags == "type" and not reader.saw_entities:
        raise DataError(
            "task.tags=type takes B- and I- off labels, but no label has one; expected such as B-PER. Leave it out"
        )
    if "test" not in splits:
        splits["train"], splits["test"] = carve(splits["train"], settings.test_fraction, settings.split_seed)
    notes += [*source.notes, *(f"{n} {what} left out." for what, n in sorted(reader.left_out.items()))]
    return build_corpus(settings, LEVELS[settings.read_as], splits, source.checksums, notes)


class _Reader:
    """Turns what was read into texts, and counts what is left out."""

    def __init__(self, settings: TaskSettings) -> None:
        self.settings = settings
        self.left_out: Counter[str] = Counter()
        self.labels: set[str] = set()
        self.saw_entities = False

    def texts(self, parts: list[Part], split: str) -> Iterator[LabeledText]:
        """The texts of a split."""
        n_before = 0
        for part in parts:
            if isinstance(part, Table):
                yield from self._of_table(part, split, n_before)
            else:
                yield from (self._of_sentence(sentence, split) for sentence in part)
            n_before += len(part)

    def _of_table(self, table: Table, split: str, n_before: int) -> Iterator[LabeledText]:
        if self.settings.sentence_column is not None:
            table = gather_sentences(table, self.settings)
        row_at = ROWS[self.settings.read_as](table, self.settings)
        rows: dict[int, Row] = {}
        for number in range(len(table)):
            try:
                rows[number] = self._checked(table, number, row_at(number))
            except EmptyValueError as error:
                self._leave_out(error, f"rows without a {error.what}")
        renamed = whole_floats_as_integers(label for row in rows.values() for _, label in row.targets)
        for number, row in rows.items():
            targets = [Target(words, renamed.get(label or "", label or "")) for words, label in row.targets]
            yield self._labeled(f"{split}-{n_before + number + 1:06d}", targets, row)

    def _checked(self, table: Table, number: int, row: Row) -> Row:
        """The row without what may be left out."""
        of_words = self.settings.read_as == "token_classification"
        column = self.settings.labels_column if of_words else self.settings.label_column
        if row.words is not None and not all(row.words):
            row = self._without_empty_words(table, number, row)
        targets = []
        for words, label in row.targets:
            if of_words and label == IGNORED_INDEX:
                self.left_out[f"examples labelled {IGNORED_INDEX} are"] += 1
                continue
            try:
                label = require_label(table, number, column, label, self.settings.ignore_labels)
            except EmptyValueError as error:
                if not of_words:
                    raise
                self._leave_out(error, "words without a label")
                continue
            targets.append((words, label))
        return row._replace(targets=targets)

    def _leave_out(self, error: EmptyValueError, what: str) -> None:
        if self.settings.on_empty == "error":
            raise error
        self.left_out[f"{what} are"] += 1

    def _without_empty_words(self, table: Table, number: int, row: Row) -> Row:
        """Words that hold nothing give no subword in any tokenizer: they go, and their examples with them."""
        words = row.words or ()
        if not self.settings.allow_dropped_words:
            problem = f"word {words.index('') + 1} of {len(words)} is empty; expected words"
            advice = "Mend the row, or leave empty words out with task.allow_dropped_words=true (counted)"
            raise table.row_error(number, problem, advice)
        place = {old: new for new, old in enumerate(i for i, word in enumerate(words) if word)}
        kept = [(tuple(place[i] for i in at), label) for at, label in row.targets if all(i in place for i in at)]
        self.left_out["empty words are"] += len(words) - len(place)
        self.left_out.update(["examples of empty words are"] * (len(row.targets) - len(kept)))
        return row._replace(words=tuple(words[i] for i in place), targets=kept)

    def _of_sentence(self, sentence: Sentence[ConlluWord], split: str) -> LabeledText:
        column = self._conllu_column()
        targets = []
        for index, word in enumerate(sentence.words):
            label = getattr(word, column)
            if label is None or (LEVELS[self.settings.read_as] == "pair" and word.head is None):
                self.left_out["examples labelled _ are"] += 1
            elif LEVELS[self.settings.read_as] == "word":
                targets.append(Target((index,), label))
            elif word.head:  # the root has no head word to be paired with
                targets.append(Target((word.head - 1, index), label))
        words = tuple(word.form for word in sentence.words)
        return self._labeled(f"{split}/{sentence.sent_id}", targets, Row([], words=words))

    def _conllu_column(self) -> str:
        name, column = self.settings.read_as, self.settings.labels_column
        if name == "text_classification":
            raise DataError(
                f"task {name} reads no .conllu files, but got one; expected a table with a text column. "
                "For CoNLL-U use task=token_classification or task=pair_classification"
            )
        if name == "token_classification" and column not in CONLLU_LABELS:
            raise DataError(
                f"CoNLL-U has no label column {column!r}; expected task.labels_column to be one of "
                f"{', '.join(CONLLU_LABELS)}"
            )
        return column if name == "token_classification" else "deprel"

    def _labeled(self, text_id: str, targets: list[Target], row: Row) -> LabeledText:
        """The text with the labels that count."""
        if self.settings.tags == "type":
            self.saw_entities = self.saw_entities or any(has_prefix(t.label) for t in targets)
            targets = [Target(t.words, entity_type(t.label)) for t in targets]
        ignored = self.settings.ignore_labels
        kept = tuple(target for target in targets if target.label not in ignored)
        self.left_out.update(f"examples labelled {t.label} are" for t in targets if t.label in ignored)
        self.labels.update(target.label for target in kept)
        return LabeledText(text_id, kept, words=row.words, text=row.text, second_text=row.second_text)


def _check_choices(settings: TaskSettings) -> None:
    choices = {"pair_format": tuple(PAIR_FORMATS), "on_empty": ("error", "skip"), "tags": ("bio", "type")}
    for name, allowed in choices.items():
        if getattr(settings, name) not in allowed:
            raise DataError(
                f"{name} is {getattr(settings, name)!r}; expected one of {', '.join(allowed)}. Set task.{name}"
            )


def _split_names(settings: TaskSettings, source: OwnSource) -> tuple[dict[str, str], list[str]]:
    """The source's name of each of our splits, and notes; test is missing where it is to be carved."""
    wanted = {"train": settings.train_split, "validation": settings.validation_split, "test": settings.test_split}
    if settings.data_files.get("validation") and settings.validation_split is None:
        wanted["validation"] = "validation"
    names = {split: name for split, name in wanted.items() if name is not None}
    have, notes = ", ".join(map(repr, source.splits)), []
    if names.get("test") == "test" not in source.splits and settings.test_fraction:
        del names["test"]  # the usual name, and a share to carve instead
        notes.append(f"There is no split 'test' (only {have}): {settings.test_fraction:.0%} of train became the test.")
    for split, name in names.items():
        if name not in source.splits:
            hint = "" if split == "train" else f", or carve it out: task.{split}_split=null task.{split}_fraction=0.2"
            raise DataError(
                f"task {settings.name}: no split {name!r}; the data has {have}. Name one with task.{split}_split{hint}"
            )
    if len(set(names.values())) < len(names):
        raise DataError(
            f"task {settings.name}: one split is to be two: {names}; expected different ones. "
            "Carve one out: task.test_split=null task.test_fraction=0.2"
        )
    if "test" not in names and not settings.test_fraction:
        raise DataError(
            f"task {settings.name}: got no test split and test_fraction is 0; expected one of the two. "
            "Set task.test_split, or task.test_fraction=0.2"
        )
    return names, notes
