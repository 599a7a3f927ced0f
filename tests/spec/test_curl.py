"""A curl call, however it was copied, is what it would send; its key is nowhere."""

from pathlib import Path

import pytest

from batchgen.errors import UsageError
from batchgen.spec.curl import read_call

PAGE = Path(__file__).parents[1] / "golden" / "page-curl.sh"
URL = "https://api.modelverse.cn/v1/images/generations"
BODY = {"model": "m", "prompt": 'it\'s a "cup"\n', "n": 2}


def test_the_call_of_the_providers_page() -> None:
    call = read_call(PAGE.read_text(encoding="utf-8"))

    assert call.url == URL
    assert call.body["model"] == "black-forest-labs/flux-kontext-pro/text-to-image"
    assert list(call.body) == ["model", "prompt"]
    assert call.body["prompt"].startswith("Retro game style, man")


@pytest.mark.parametrize(
    "text",
    [
        f"""curl {URL} -d '{{"model":"m","n":2}}'""",
        f"""$ curl -sS -X POST {URL} -H "Authorization: Bearer $KEY" --data '{{"model":"m","n":2}}' | jq .""",
        f"""curl "{URL}" \\\n  -H 'Content-Type: application/json' \\\n  --data-raw '{{\n"model": "m", "n": 2}}'\n""",
        f"""curl.exe "{URL}" ^\r\n  -H "Content-Type: application/json" ^\r\n  -d "{{\\"model\\":\\"m\\",\\"n\\":2}}"\r\n""",
        f"""curl --url={URL} --json='{{"model":"m","n":2}}' --max-time 60 -o out.json""",
        f"""curl -XPOST -H'A: b' '{URL}?key=secret#x' -d'{{"model":"m","n":2}}' --compressed""",
        """curl https://user:secret@api.modelverse.cn/v1/images/generations -d '{"model":"m","n":2}'""",
        f"""Here it is:\n\n```bash\ncurl {URL} \\\n -d '{{"model":"m","n":2}}'\n```\n""",
        f"""curl {URL} -d \u2018{{\u201cmodel\u201d:\u201cm\u201d,\u201cn\u201d:2}}\u2019""",
    ],
)
def test_every_way_to_write_it_is_one_call(text: str) -> None:
    call = read_call(text)

    assert (call.url, call.body) == (URL, {"model": "m", "n": 2})
    assert "secret" not in repr(call)


def test_what_a_browser_copies_with_escapes() -> None:
    text = f'curl \'{URL}\' --data-raw $\'{{"model":"m","prompt":"it\\\'s a \\\\"cup\\\\"\\\\n","n":2,"x":"\\u0021"}}\''

    assert read_call(text).body == {**BODY, "x": "!"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no curl call"),
        ("wget x", "no curl call"),
        (f"curl {URL}", "sends nothing"),
        ("curl -d '{}'", "no address"),
        (f"curl {URL} -d @body.json", "from a file, body.json"),
        (f"curl {URL} -d 'a=b'", "no JSON object"),
        (f"curl {URL} -d '[1]'", "no JSON object"),
        (f"curl {URL} -d '{{", "quotation mark is missing"),
        (f"curl {URL} -d '" + "[" * 100_000 + "'", "no JSON object"),
    ],
)
def test_what_is_no_such_call_is_told(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        read_call(text)

    assert caught.value.hint
