"""Folders of Transformers and sentence-transformers: what their files of JSON tell, without the libraries."""

import json
import pickle

import pytest

from lading.core.errors import ModelError
from lading.core.signature import Field
from lading.model import inspect

CONFIG = {
    "architectures": ["BertForSequenceClassification"],
    "model_type": "bert",
    "hidden_size": 8,
    "transformers_version": "4.57.1",
}
WEIGHTS = b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
PARTS = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
]
VERSIONS = {"sentence_transformers": "3.3.1", "transformers": "4.47.0", "pytorch": "2.5.1+cu124"}


@pytest.fixture
def folder(write):
    def folder(**config):
        write("model/model.safetensors", len(WEIGHTS).to_bytes(8, "little") + WEIGHTS + bytes(8))
        return write("model/config.json", json.dumps({**CONFIG, **config})).parent

    return folder


@pytest.fixture
def sentences(folder, write):
    def sentences(parts=PARTS, **pooling):
        write("model/modules.json", json.dumps(parts))
        write("model/config_sentence_transformers.json", json.dumps({"__version__": VERSIONS}))
        write("model/1_Pooling/config.json", json.dumps({"word_embedding_dimension": 8, **pooling}))
        return folder(architectures=["BertModel"])

    return sentences


def test_an_architecture_tells_its_task(folder):
    facts = inspect(folder())
    assert (facts.format, facts.loader) == ("transformers", "transformers")
    assert facts.loader_options == {"file": ".", "task": "text-classification"}
    assert (facts.framework, facts.framework_version) == ("transformers", "4.57.1")
    assert "transformers==4.57.1" in [one.text for one in facts.requirements]
    assert facts.signature.inputs == (Field("string", "text"),)
    assert facts.risks == ()
    assert facts.notes[1] == "model.safetensors: 1 tensor, 2 parameters, float32"


@pytest.mark.parametrize(
    ("architecture", "task", "names"),
    [
        ("RobertaForTokenClassification", "token-classification", ["text"]),
        ("BertForQuestionAnswering", "question-answering", ["question", "context"]),
        ("GPT2LMHeadModel", "text-generation", ["text"]),
        ("LlamaForCausalLM", "text-generation", ["text"]),
        ("BertForMaskedLM", "fill-mask", ["text"]),
        ("BertModel", "feature-extraction", ["text"]),
    ],
)
def test_every_task_is_asked_for_its_columns(architecture, task, names, folder):
    facts = inspect(folder(architectures=[architecture]))
    assert facts.loader_options["task"] == task
    assert [one.name for one in facts.signature.inputs] == names


def test_the_module_of_an_architecture_is_compiled_before_it_starts(folder):
    assert "transformers.models.gpt_neo.modeling_gpt_neo" in inspect(folder(model_type="gpt-neo")).modules
    modules = ("transformers", "torch", "transformers.pipelines", "transformers.generation.utils")
    assert inspect(folder(model_type="../x")).modules == modules


def test_a_task_that_takes_no_texts_is_refused(folder):
    with pytest.raises(ModelError, match="'ViTForImageClassification', which tells none of the tasks"):
        inspect(folder(architectures=["ViTForImageClassification"]))


def test_a_task_that_a_release_no_longer_has_is_told(folder, write):
    asks = {"architectures": ["BertForQuestionAnswering"]}
    with pytest.raises(
        ModelError, match=r"Transformers 5\.24\.0, which has no pipeline for question-answering: 5\.3"
    ):
        inspect(folder(**asks, transformers_version="5.24.0"))
    write("model/requirements.txt", "transformers<5.3\ntorch\n")
    assert inspect(folder(**asks, transformers_version="5.24.0")).loader == "transformers"
    (folder() / "requirements.txt").unlink()
    assert "transformers<5.3" in [
        one.text for one in inspect(folder(**asks, transformers_version=None)).requirements
    ]
    assert "transformers==5.2.0" in [
        one.text for one in inspect(folder(**asks, transformers_version="5.2.0")).requirements
    ]


def test_what_writes_texts_of_texts_is_asked_for_a_routine(folder):
    with pytest.raises(ModelError, match=r"for which Transformers has no pipeline from 5\.0 on"):
        inspect(folder(architectures=["T5ForConditionalGeneration"]))


def test_code_that_comes_with_a_model_is_a_risk(folder):
    facts = inspect(folder(auto_map={"AutoModel": "modeling_mine.Net", "AutoTokenizer": ["t.Slow", None]}))
    assert [(one.where, one.name) for one in facts.risks] == [
        ("config.json", "modeling_mine.Net"),
        ("config.json", "t.Slow"),
    ]
    assert facts.loader_options["remote_code"] is True


def test_pickles_are_followed_but_for_what_a_trainer_leaves(folder, write):
    class Evil:
        def __reduce__(self):
            return print, ("loaded",)

    write("model/vocab.pkl", pickle.dumps(Evil()))
    write("model/training_args.bin", pickle.dumps(Evil()))
    assert [one.name for one in inspect(folder()).risks] == ["builtins.print"]


def test_a_version_of_a_repository_pins_nothing(folder):
    assert inspect(folder(transformers_version="5.0.0.dev0")).framework_version is None


@pytest.mark.parametrize(
    ("pooling", "width"),
    [
        ({}, 8),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": True}, 16),
        ({"pooling_mode": "mean"}, 8),
    ],
)
def test_a_sentence_transformer_tells_the_width_of_its_embeddings(pooling, width, sentences):
    facts = inspect(sentences(**pooling))
    assert (facts.format, facts.framework_version) == ("sentence_transformers", "3.3.1")
    told = [one.text for one in facts.requirements]
    assert told[:3] == ["sentence-transformers==3.3.1", "transformers==4.47.0", "torch==2.5.1"]
    assert facts.signature.outputs == (Field("tensor", dtype="float32", shape=(-1, width)),)
    assert facts.risks == ()


def test_a_part_of_others_is_a_risk(sentences):
    (risk,) = inspect(sentences([*PARTS, {"idx": 2, "path": "2", "type": "mine.Part"}])).risks
    assert (risk.where, risk.name) == ("modules.json", "mine.Part")
