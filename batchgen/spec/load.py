"""Reads a job file into a Job: every mistake at once, and nothing but JobError or UsageError for a bad one.

It owns what the words of the file refer to (models, variables, folders, amounts). Its shape is checked by `schema.py`,
what each prompt asks of each model by `checks.py`. It refuses to read the environment and to touch the network.
"""

import itertools
import os
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from batchgen.errors import CatalogError, UsageError
from batchgen.spec import checks, endpoint, matching, messages, names, schema
from batchgen.spec.durations import seconds_of, until
from batchgen.spec.fields import PictureBook, from_text
from batchgen.spec.files import in_words, read_named
from batchgen.spec.job import NIGHT, Budget, Job, Limits, ModelUse, Output, Seeds
from batchgen.spec.mistakes import Mistakes
from batchgen.spec.prompts import RowReader
from batchgen.spec.saved import job_from_json, job_to_json
from batchgen.spec.seeds import MODULUS, parse_seeds, parse_seeds_text
from batchgen.spec.syntax import but_not
from batchgen.spec.unattended import log_of, notify_of
from batchgen.spec.wording import harmless, nearest, problem
from batchgen.spec.yaml_reader import LARGEST_FILE, read_yaml

__all__ = ["job_from_json", "job_to_json", "load_job", "parse_job"]

_AMOUNT = re.compile(r"\d+(?:\.\d+)?")
_MOST_WARNINGS = 20
_MOST_FILES = 1_000
_HOW_MANY = frozenset({"n", "num_images", "num_outputs", "batch_size", "num_samples", "samples", "count"})
"""What asks for more pictures in one way or another: the plan has to know, because each of them costs."""
_WORD = re.compile(r"[^\s{}]+(?: [^\s{}]+)*")


def load_job(
    path: Path,
    *,
    environment: Mapping[str, str],
    sets: Sequence[str] = (),
    warn: Callable[[str], None] | None = None,
) -> Job:
    """The job that the file at `path` describes, with its prompt files read and its input pictures hashed.

    `environment` may hold the provider's address (`Provider.base_url_env`); `sets` are the texts `field=value` of
    `--set`. `warn` is told of what is odd but no mistake; the job keeps the same lines in `warnings`.
    Raises JobError with every mistake and its place, UsageError when the file cannot be read.
    """
    return parse_job(_read(path), path, environment=environment, sets=sets, warn=warn)


def parse_job(
    data: bytes,
    path: Path,
    *,
    environment: Mapping[str, str],
    sets: Sequence[str] = (),
    warn: Callable[[str], None] | None = None,
) -> Job:
    """The job that a text describes, as if it stood at `path`; `load_job` says the rest."""
    document = read_yaml(data, str(path))
    mistakes = Mistakes(document)
    provider = endpoint.find_provider(mistakes)
    messages.look_for_habits(mistakes, provider)
    parts = schema.validate(document, mistakes) if isinstance(document.value, dict) else None
    if parts is None:
        mistakes.raise_if_any()
        raise AssertionError("a file without a job and without a mistake")
    where = endpoint.locate(provider, _provider_entry(parts), environment, mistakes)
    absolute = Path(os.path.normpath(path.absolute()))
    job = _Reading(absolute, parts, mistakes, where, sets).job()
    mistakes.raise_if_any()
    for line in job.warnings if warn else ():
        assert warn is not None
        warn(line)
    return job


def _nearest_file(path: Path) -> Path | None:
    """The job file beside a missing one whose name, without extension, is much like it."""
    if not path.parent.is_dir():
        return None
    files = itertools.islice(path.parent.glob("*.y*ml"), _MOST_FILES)
    by_stem = {file.stem: file for file in sorted(files) if file.is_file()}
    near = nearest(path.stem, list(by_stem))
    return by_stem[near] if near else None


def _read(path: Path) -> bytes:
    shown = harmless(str(path))
    if not _is_text(str(path.absolute())):
        raise UsageError(f"the name of {shown} is not UTF-8 text", "rename the file or its folder")
    try:
        return read_named(path, LARGEST_FILE)
    except FileNotFoundError:
        near = _nearest_file(path)
        hint = f"did you mean {near}?" if near else "`batchgen init` writes a job to begin with"
        raise UsageError(f"there is no file {shown}", harmless(hint)) from None
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {shown}: {in_words(error)}", "name a job file") from None


def _is_text(text: str) -> bool:
    return all(not "\ud800" <= character <= "\udfff" for character in text)


def _provider_entry(parts: schema.JobFile) -> dict[str, Any]:
    return {} if isinstance(parts.provider, str) else parts.provider.model_dump(exclude_none=True)


class _Reading:
    """One job file on its way to a Job."""

    def __init__(
        self,
        path: Path,
        parts: schema.JobFile,
        mistakes: Mistakes,
        where: endpoint.Place,
        sets: Sequence[str],
    ) -> None:
        self.path = path
        self.parts = parts
        self.mistakes = mistakes
        self.where = where
        self.sets = sets
        self.warnings: list[str] = []
        self.model_locs: dict[str, tuple[str | int, ...]] = {}

    def job(self) -> Job:
        """Everything that the file says; mistakes are noted on the way."""
        parts, mistakes = self.parts, self.mistakes
        models = self._models()
        set_params, set_seeds = self._sets()
        rows = RowReader(self.where.provider, self.path.parent, mistakes)
        for index, item in enumerate(parts.prompts):
            rows.read(index, item)
        if not parts.prompts and "prompts" not in mistakes.damaged:
            mistakes.add(("prompts",), "`prompts` is empty", "write one below it: `  - a neon city in the rain`")
        own_rows = rows.rows if set_seeds is None else [checks.without_seeds(row) for row in rows.rows]
        name = parts.name or self.path.stem
        job = Job(
            name=name,
            path=self.path,
            provider=self.where.provider,
            identity=self.where.identity,
            base_url=self.where.base_url,
            key_env=self.where.key_env,
            proxy=self.where.proxy,
            rows=tuple(own_rows),
            variables=self._variables(),
            models=models,
            seeds=set_seeds or self._seeds(),
            params=self._params(parts.params, ("params",)),
            extra_params=self._extra(parts.extra_params, ("extra_params",)),
            set_params=set_params,
            exclude=self._exclude(),
            budgets=self._budgets(),
            on_unknown=parts.on_unknown,
            limits=self._limits(parts.limits, ("limits",)),
            output=self._output(name),
            canary=parts.canary,
            deadline=self._deadline(),
            log=log_of(parts.log),
            notify=notify_of(parts.notify, mistakes),
        )
        hashes: dict[str, str] = {}
        checker = checks.Checker(job, rows.origins, self.model_locs, mistakes, PictureBook(self.path.parent, hashes))
        for index, item in enumerate(parts.prompts):
            if isinstance(item, schema.PromptItem):
                self._params(item.params, ("prompts", index, "params"))
                self._extra(item.extra_params, ("prompts", index, "extra_params"))
        used = checker.check()
        self._warn_of(job, used)
        return checks.finished(job, hashes, rows.prompt_files(used), tuple(self.warnings))

    def _models(self) -> tuple[ModelUse, ...]:
        uses: list[ModelUse] = []
        provider, mistakes = self.where.provider, self.mistakes
        for index, entry in enumerate(self.parts.models):
            item = schema.ModelItem(id=entry) if isinstance(entry, str) else entry
            loc = ("models", index)
            at = loc if isinstance(entry, str) else (*loc, "id")
            try:
                model = provider.model(item.id)
            except CatalogError:
                near = nearest(item.id, provider.models)
                hint = f"did you mean {near}?" if near else "`batchgen models` lists them"
                hint = provider.elsewhere(item.id) or hint
                mistakes.add(at, f"{provider.name} has no model `{item.id}`", hint, kind="unknown model")
                continue
            raw_label = mistakes.document.raw((*loc, "label")) if item.label is not None else None
            label = raw_label or model.short_name
            if any(use.label == label for use in uses):
                hint = "give each entry a `label` of its own"
                mistakes.add(at, f"two models have the label `{label}`", hint, kind="label that stands twice")
                continue
            params = self._params(item.params, (*loc, "params"))
            for name in params:
                if name not in model.fields:
                    takes = ", ".join(field for field in model.fields if field not in {"prompt", "seed"})
                    where = (*loc, "params", name)
                    mistakes.add(where, f"{label} does not take `{name}`", f"it takes {takes}", kind="field", key=True)
            extra = self._extra(item.extra_params, (*loc, "extra_params"))
            limits = self._limits(item.limits, (*loc, "limits"))
            kept = {name: value for name, value in params.items() if name in model.fields}
            self.model_locs[label] = loc
            uses.append(ModelUse(model=model, label=label, params=kept, extra_params=extra, limits=limits))
        if not self.parts.models and "models" not in mistakes.damaged:
            mistakes.add(("models",), "`models` is empty", "write one below it: `  - black-forest-labs/flux.1-dev`")
        return tuple(uses)

    def _params(self, params: Mapping[str, Any], loc: tuple[str | int, ...]) -> dict[str, Any]:
        """The fields that the provider has; the others are noted."""
        kept = {}
        fields = self.where.provider.fields
        for name, value in params.items():
            at = (*loc, name)
            if name in {"prompt", "model", "seed", "seeds"}:
                hint = (
                    "write `seeds:` at the top, or `seed:` in an entry of `prompts`" if name.startswith("seed") else ""
                )
                self.mistakes.add(at, f"`{name}` has no place in `params`", hint, kind="field", key=True)
            elif name not in fields:
                near = nearest(name, [field for field in fields if field not in {"prompt", "seed"}])
                hint = f"did you mean `{near}`?" if near else "an undocumented field goes into `extra_params`"
                self.mistakes.add(at, f"{self.where.provider.name} has no field `{name}`", hint, kind="field", key=True)
            elif value is None:
                self.mistakes.add(at, f"`{name}` has no value", "write one, or delete the line", kind="empty value")
            else:
                if isinstance(value, str):
                    messages.check_cut(self.mistakes, at, value)
                kept[name] = value
        return kept

    def _extra(self, params: Mapping[str, Any], loc: tuple[str | int, ...]) -> dict[str, Any]:
        for name in params:
            word = name.strip().lower()
            if word in {"prompt", "model", "seed"} or word in _HOW_MANY:
                hint = "`n` goes into `params`" if word in _HOW_MANY else "it has a place of its own in a job file"
                self.mistakes.add(
                    (*loc, name), f"`{name}` has no place in `extra_params`", hint, kind="field", key=True
                )
        wrong = checks.not_json(params)
        if wrong:
            self.mistakes.add(loc, f"`extra_params` holds {wrong}, which cannot be sent", kind="unsendable")
            return {}
        return dict(params)

    def _variables(self) -> dict[str, dict[str, str]]:
        variables: dict[str, dict[str, str]] = {}
        for written, item in self.parts.vars.items():
            loc, name = ("vars", written), written.strip().lower()
            if name in {*names.NAME_WORDS, *matching.TASK_WORDS, "prompt"} or not _WORD.fullmatch(name):
                self.mistakes.add(loc, f"a variable cannot be called `{written}`", "choose another name", key=True)
                continue
            if name in variables:
                self.mistakes.add(loc, f"the variable `{written}` stands twice", "names ignore case", key=True)
                continue
            variables[name] = self._texts(loc, item)
        return variables

    def _texts(self, loc: tuple[str | int, ...], item: "list[Any] | dict[str, Any]") -> dict[str, str]:
        texts: dict[str, str] = {}
        pairs = enumerate(item) if isinstance(item, list) else item.items()
        for key, value in pairs:
            at = (*loc, key)
            text = value if isinstance(value, str) else self.mistakes.document.raw(at) or str(value)
            messages.check_cut(self.mistakes, at, text)
            short = text if isinstance(key, int) else key
            if short in texts or not short.strip():
                said = "stands twice" if short in texts else "is empty"
                self.mistakes.add(
                    at, f"`{short}` {said} in `{loc[-1]}`", "delete one" if short in texts else "", kind="short name"
                )
            texts[short] = text
        return texts

    def _seeds(self) -> Seeds:
        try:
            return parse_seeds(self.parts.seeds)
        except ValueError as error:
            wrong = but_not(self.mistakes.document.raw(("seeds",)))
            self.mistakes.add(
                ("seeds",), f"`seeds` must be {error}{wrong}", "-1, or nothing, derives one", kind="wrong seed"
            )
            return Seeds()

    def _sets(self) -> tuple[dict[str, Any], Seeds | None]:
        params: dict[str, Any] = {}
        found: Seeds | None = None
        fields = self.where.provider.fields
        for text in self.sets:
            name, equals, value = text.partition("=")
            name = name.strip()
            try:
                if not _is_text(text):
                    raise ValueError("it is not UTF-8 text")
                if not equals or not value:
                    raise ValueError("write it as --set steps=28")
                if name in {"seed", "seeds"}:
                    found = parse_seeds_text(value)
                elif name in {"prompt", "model"} or name not in fields:
                    near = nearest(name, list(fields))
                    raise ValueError(f"did you mean {near}?" if near and name != near else "--set takes request fields")
                else:
                    params[name] = from_text(fields[name], value) if "{" not in value else value
            except ValueError as error:
                self.mistakes.add_at(problem(f"--set {name}", 0, 0, "cannot be used", str(error)))
        return params, found

    def _exclude(self) -> tuple[dict[str, str], ...]:
        entries = []
        for index, entry in enumerate(self.parts.exclude):
            raw = self.mistakes.document.raw
            entries.append({key.lower(): raw(("exclude", index, key)) or str(value) for key, value in entry.items()})
        return tuple(entries)

    def _budgets(self) -> tuple[Budget, ...]:
        written = self.parts.budget
        items = [] if written is None else written if isinstance(written, list) else [written]
        budgets = []
        for index, item in enumerate(items):
            loc = ("budget", index) if isinstance(written, list) else ("budget",)
            if item.images is None and item.cost is None:
                if "budget" not in self.mistakes.damaged:
                    self.mistakes.add(loc, "this budget bounds nothing", "write `images:` or `cost:`", kind="budget")
                continue
            # As it was written: 0.10 is ten hundredths, not the float nearest to them.
            raw = self.mistakes.document.raw((*loc, "cost")) or ""
            cost = None if item.cost is None else Decimal(raw if _AMOUNT.fullmatch(raw) else str(item.cost))
            budgets.append(Budget(images=item.images, cost=cost, per=item.per))
        return tuple(budgets)

    def _limits(self, item: schema.LimitsItem, loc: tuple[str | int, ...]) -> Limits:
        return Limits(
            concurrency=item.concurrency,
            requests_per_minute=item.requests_per_minute,
            timeout_s=self._duration(item.timeout, (*loc, "timeout")),
            give_up_after_s=self._duration(item.give_up_after, (*loc, "give_up_after")),
        )

    def _duration(self, value: Any, loc: tuple[str | int, ...]) -> float | None:
        if value is None:
            return None
        seconds = (seconds_of(value) or 0.0) if isinstance(value, str) else float(value)
        if not 0 < seconds <= 366 * 86400:
            expected = "a time such as 300 (seconds), 90s, 30m or 6h"
            self.mistakes.add(loc, f"`{loc[-1]}` must be {expected}{but_not(value)}", kind="wrong value")
            return None
        return seconds

    def _deadline(self) -> str | None:
        if self.parts.deadline is None:
            return None
        # As it was written: YAML 1.2 takes 06:30 for text, and 3600 for a number of seconds.
        text = str(self.parts.deadline)
        text = f"{text}s" if text.replace(".", "", 1).isdigit() else text
        if until(text, 0.0) is None:
            expected = "a length of time such as 6h, or a time of day such as 06:30"
            self.mistakes.add(("deadline",), f"`deadline` must be {expected}{but_not(text)}", kind="wrong value")
            return None
        return text

    def _output(self, name: str) -> Output:
        item = self.parts.output
        if item.folder is not None and not item.folder.isprintable():
            message = "`output.folder` holds characters that cannot be seen"
            self.mistakes.add(("output", "folder"), message, "write a plain folder name", kind="unseen characters")
            item = schema.OutputItem()
        if item.folder is not None and re.search(r"[{}]", item.folder.replace(NIGHT, "")):
            message = "`output.folder` takes no variables: all pictures of a job lie in one folder"
            hint = f"only {NIGHT} may stand in it, the date of the night; put the others into `output.name`"
            self.mistakes.add(("output", "folder"), message, hint, kind="folder")
        holder = next((folder for folder in self.path.parents if folder.name == "jobs"), None)
        base = holder.parent if holder else self.path.parent
        folder = item.folder or os.path.join("outputs", names.clean_part(name))  # noqa: PTH118
        return Output(
            folder=Path(os.path.normpath(base / folder)),
            name=item.name,
            ascii=item.ascii,
            gallery=item.gallery,
            embed=item.embed,
        )

    def _warn_of(self, job: Job, used: frozenset[str]) -> None:
        for name in job.variables:
            if name not in used and "prompts" not in self.mistakes.damaged:
                self.warnings.append(harmless(f"the variable `{name}` is used by no prompt and no field"))
                if len(self.warnings) >= _MOST_WARNINGS:
                    break
        all_seeds = [job.seeds, *(row.seeds for row in job.rows if row.seeds)]
        large = [seed for seeds in all_seeds for seed in seeds.fixed or () if seed >= MODULUS]
        if large:
            self.warnings.append(
                f"the seed {large[0]} is above {MODULUS - 1}: some services cut such seeds down and make another picture"
            )
