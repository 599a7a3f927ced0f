"""The id of a request."""

import hashlib
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from batchgen.spec.task import InputPicture, canonical_json, task_id

texts = st.text(st.characters(codec="utf-8"))


@given(texts, texts, texts, st.integers(0, 2**33), st.dictionaries(texts, st.integers() | texts), st.booleans())
def test_the_id_is_the_hash_of_canonical_json(
    provider: str, model: str, prompt: str, seed: int, params: dict[str, Any], extra: bool
) -> None:
    extra_params = {"b": 1, "a": [None, True]} if extra else {}
    hashed = {key: value for key, value in params.items() if key != "response_format"}
    content = {"provider": provider, "model": model, "prompt": prompt, "seed": seed, "params": hashed}
    if extra:
        content["extra_params"] = extra_params
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    found = task_id(provider=provider, model=model, prompt=prompt, seed=seed, params=params, extra_params=extra_params)
    assert found == hashlib.sha256(text.encode()).hexdigest()


def test_the_id_of_one_request_is_pinned() -> None:
    assert (
        task_id(
            provider="modelverse",
            model="black-forest-labs/flux.1-dev",
            prompt='a "cat" 猫\n',
            seed=7,
            params={
                "steps": 28,
                "strength": 0.8,
                "image": InputPicture("x.png", sha256="ab" * 32),
                "response_format": "url",
            },
            extra_params={},
        )
        == "d76a596e64510225f9aa475d55ae9fe073a1c06c4f3729c18ec5e9e4d5aed5a4"
    )


def test_pictures_are_their_bytes_or_their_link() -> None:
    def of(*pictures: InputPicture) -> str:
        return task_id(provider="p", model="m", prompt="x", seed=1, params={"images": pictures}, extra_params={})

    assert of(InputPicture("a.png", "00", "/a.png")) == of(InputPicture("b.png", "00", "/b.png"))
    assert of(InputPicture("http://a/1")) != of(InputPicture("http://a/2"))
    assert of(InputPicture("a", "00"), InputPicture("b", "11")) != of(InputPicture("b", "11"), InputPicture("a", "00"))


def test_canonical_json_has_one_spelling() -> None:
    assert canonical_json({"b": 1.0, "a": "é\u2028"}) == '{"a":"é\u2028","b":1.0}'
