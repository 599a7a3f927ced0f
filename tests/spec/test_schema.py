"""One definition of the job file: what it checks, what editors and docs are told."""

from collections.abc import Iterator
from typing import Any

from batchgen.spec.schema import JobFile, known_keys


def objects(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        if "properties" in schema:
            yield schema
        for value in schema.values():
            yield from objects(value)
    elif isinstance(schema, list):
        for item in schema:
            yield from objects(item)


def test_every_key_has_a_description_and_unknown_ones_are_refused_everywhere() -> None:
    found = list(objects(JobFile.model_json_schema()))

    assert len(found) >= 9
    assert all(schema["additionalProperties"] is False for schema in found)
    for schema in found:
        for key, entry in schema["properties"].items():
            assert entry.get("description", "").endswith("."), key


def test_the_top_of_a_job_file_is_what_the_design_says() -> None:
    schema = JobFile.model_json_schema()

    assert " ".join(schema["properties"]) == (
        "name provider prompts vars models seeds params extra_params exclude budget on_unknown limits output canary deadline log notify"
    )
    assert schema["required"] == ["prompts", "models"]
    assert {"literal", "encoding", "give_up_after", "ascii", "per"} <= known_keys()
