"""Folders of spaCy's pipelines: what config.cfg and meta.json tell, without spaCy."""

import json

import pytest

from lading.core.errors import ModelError
from lading.core.signature import Field
from lading.model import inspect

META = {
    "lang": "en",
    "name": "mood",
    "version": "0.1.0",
    "spacy_version": ">=3.8.2,<3.9.0",
    "requirements": ["spacy-lookups-data>=1.0"],
    "pipeline": ["textcat"],
}
CONFIG = """\
[nlp]
lang = "en"
pipeline = ["textcat"]
before_creation = null

[training]
before_to_disk = {"@callbacks":"mine.only_for_training"}

[nlp.tokenizer]
@tokenizers = "spacy.Tokenizer.v1"

[components]

[components.textcat]
factory = "textcat"

[components.textcat.model]
@architectures = "spacy.TextCatBOW.v3"
nO = null

[components.textcat.model.init]
@initializers = "zero_init.v1"
"""


@pytest.fixture
def pipeline(write):
    def pipeline(config=CONFIG, folder="mood", **meta):
        write(f"{folder}/config.cfg", config)
        return write(f"{folder}/meta.json", json.dumps({**META, **meta})).parent

    return pipeline


def test_a_pipeline_tells_its_parts_and_requirements(pipeline):
    facts = inspect(pipeline())
    assert (facts.format, facts.loader, facts.flavour) == ("spacy", "spacy", "spacy en_mood")
    assert facts.framework_version == "3.8.2"
    assert facts.loader_options == {"file": "."}
    told = [one.text for one in facts.requirements]
    assert told == ["spacy>=3.8.2,<3.9.0", "pandas<3", "spacy-lookups-data>=1.0"]
    assert facts.signature.inputs == (Field("string", "text"),)
    assert facts.risks == ()


def test_one_that_tells_no_categories_answers_with_all_it_says_of_a_text(pipeline):
    facts = inspect(pipeline(CONFIG.replace('"textcat"', '"ner"')))
    assert facts.loader_options == {"file": ".", "answer": "doc"}


def test_the_pipeline_within_a_package_of_spacys_is_found(pipeline):
    assert inspect(pipeline(folder="package/en_mood/en_mood-0.1.0").parents[1]).loader_options["file"] == (
        "en_mood/en_mood-0.1.0"
    )


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ('factory = "textcat"', 'factory = "shout"', "shout"),
        ('"spacy.TextCatBOW.v3"', '"mine.Net.v1"', "mine.Net.v1"),
        ("before_creation = null", 'before_creation = {"@callbacks":"mine.change"}', "mine.change"),
        ("nO = null", 'nO = [{"a": {"@misc": "os.system"}}]', "os.system"),
        ('factory = "textcat"', 'source = "other_pipeline"', "other_pipeline"),
    ],
)
def test_what_is_none_of_spacys_own_is_a_risk(old, new, name, pipeline):
    (risk,) = inspect(pipeline(CONFIG.replace(old, new))).risks
    assert (risk.where, risk.name) == ("config.cfg", name)


def test_a_part_that_shipped_code_registers_is_imported_with_it(pipeline, write):
    folder = pipeline(CONFIG.replace('factory = "textcat"', 'factory = "shout"'))
    write(
        "code/parts/loud.py", 'from spacy.language import Language\nLanguage.component("shout", func=len)\n'
    )
    write("code/parts/other.py", "")
    facts = inspect(folder, code=folder.parent / "code")
    assert facts.risks == ()
    assert facts.loader_options["imports"] == ["parts.loud"]


def test_a_broken_config_is_refused(pipeline):
    with pytest.raises(ModelError, match=r"config\.cfg: cannot be read"):
        inspect(pipeline(CONFIG + "\nno section or value\n[nlp]\n"))
