"""Write pipelines of spaCy, and what they answer, into a folder; run under spaCy 3.8."""

import json
import sys
from pathlib import Path

import spacy
from spacy.training import Example

FOLDER = Path(sys.argv[1])
sys.path.insert(0, str(FOLDER))
TEXTS = ["a good day", "Worse than ever. Bad."]
(FOLDER / "shouting.py").write_text(
    "from spacy.language import Language\n\n\n"
    "class Shout:\n"
    "    def __call__(self, doc):\n"
    '        doc.cats = {"loud": float(doc.text.isupper())}\n'
    "        return doc\n\n\n"
    'Language.factory("shout", func=lambda nlp, name: Shout())\n'
)
BAG = {"@architectures": "spacy.TextCatBOW.v3", "exclusive_classes": True, "ngram_size": 1, "length": 262}
cats = spacy.blank("en")
cats.add_pipe("textcat", config={"model": {**BAG, "no_output_layer": False}})
told = (("good and fine", {"yes": 1.0, "no": 0.0}), ("bad and worse", {"yes": 0.0, "no": 1.0}))
examples = [Example.from_dict(cats.make_doc(text), {"cats": labels}) for text, labels in told]
cats.initialize(lambda: examples)
cats.update(examples)
rules = spacy.blank("en")
rules.add_pipe("sentencizer")
rules.add_pipe("entity_ruler").add_patterns([{"label": "TIME", "pattern": "day"}])
own = spacy.blank("en")
import shouting  # noqa: E402, F401 - it registers the part

own.add_pipe("shout")
answers = {}
for name, pipeline in (("cats", cats), ("rules", rules), ("own", own)):
    pipeline.to_disk(FOLDER / name)
    docs = [pipeline(text) for text in TEXTS]
    said = [doc.cats if name == "cats" else doc.to_json() for doc in docs]
    rows = {"columns": ["text"], "data": [[text] for text in TEXTS]}
    answers[name] = {"dataframe_split": rows}, [{"predictions": one} for one in said]
(FOLDER / "answers.json").write_text(json.dumps(answers))
