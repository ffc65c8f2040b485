"""Templates and tags of YAML that reach code are told, and the usual ones are not."""

import json
import struct

import pytest

from lading.core.ports import ignore
from lading.core.scan import Policy
from lading.scan import scan

HONEST = """{%- set ns = namespace(found=false) %}{% for message in messages %}
{{ '<|im_start|>' + message['role'] }}
{%- if loop.first and not add_generation_prompt %}{{ raise_exception('no') }}{% endif %}
{{ message.content | trim | tojson }}{% set is_first_ = message.content == '_x' %}{% endfor %}"""
REACHING = [
    "{{ self.__init__.__globals__ }}",
    "{{ ''['__cl' ~ 'ass__'] }}",
    "{{ x|attr('_' ~ '_class_' ~ '_') }}",
    r"{{ x['\x5f\x5fclass\x5f\x5f'] }}",
    "{{ cycler }}",
]


def gguf(text):
    def told(data):
        return struct.pack("<Q", len(data)) + data

    return (
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + told(b"tokenizer.chat_template") + b"\x08\0\0\0" + told(text)
    )


WAYS = {
    "chat_template.jinja": lambda text: text.encode(),
    "tokenizer_config.json": lambda text: json.dumps({"chat_template": text}).encode(),
    "several.json": lambda text: json.dumps({"chat_template": [{"name": "a", "template": text}]}).encode(),
    "model.gguf": lambda text: gguf(text.encode()),
}


def names(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    found = scan(tmp_path, Policy(), second_opinion=False, events=ignore).findings
    return [one.name for one in found]


@pytest.mark.parametrize("name", WAYS)
def test_a_template_that_reaches_out_is_told(tmp_path, name):
    for text in REACHING:
        assert names(tmp_path, name, WAYS[name](text)), text
    assert names(tmp_path, name, WAYS[name](HONEST)) == []


@pytest.mark.parametrize(
    "text",
    [
        "a: !!python/object/apply:os.system [x]",
        "!<tag:yaml.org,2002:python/name:os.system> ''",
        "%TAG ! tag:yaml.org,2002:python/\n---\n!object/new:os.system [x]",
        "%TAG !p! tag:yaml.org,2002:pyth%6fn/\n---\n!p!object/new:os.system [x]",
        "a: 1\n---\nb: [!!python/object/apply:os.system {}]\nc: ]",
    ],
)
def test_a_tag_of_pythons_is_told_however_it_is_spelt(tmp_path, text):
    assert names(tmp_path, "hparams.yaml", text.encode()) == ["os.system"]
    assert names(tmp_path, "hparams.yaml", text.encode("utf-16")) == ["os.system"]


@pytest.mark.parametrize(
    "text", ["a: !!python/tuple [1, !mine 2]", "a: !!float 1 # python", "[" * 100_000 + "!python"]
)
def test_other_tags_pass(tmp_path, text):
    assert names(tmp_path, "config.yaml", text.encode()) == []
