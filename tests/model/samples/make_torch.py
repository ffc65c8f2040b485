"""Write the samples of PyTorch: `python tests/model/samples/make_torch.py [FOLDER]`, where it is installed.

With a folder, `answers.json` is written there too: what each model says to which request.
"""

import json
import sys
import warnings
import zipfile
from pathlib import Path

import torch
from nets import Dicts, Net, Tree, Two
from safetensors.torch import save_file
from torch import nn
from torch._export.serde import serialize

HERE = Path(__file__).parent


def old_layout(program, path):
    """Write an exported program as PyTorch did up to 2.7."""
    parts = serialize.serialize(program)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("serialized_exported_program.json", parts.exported_program)
        archive.writestr("serialized_state_dict.pt", parts.state_dict)
        archive.writestr("serialized_constants.pt", parts.constants)
        archive.writestr("serialized_example_inputs.pt", parts.example_inputs)
        archive.writestr("version", ".".join(map(str, serialize.SCHEMA_VERSION)))


def main(folder):
    torch.manual_seed(0)
    net, two = Net().eval(), Two().eval()
    layers = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    rows = torch.tensor([[0.5, -1.0, 2.0, 3.0], [1.0, 0.0, -2.5, 0.25]])
    words = torch.tensor([3, 7])
    batch = torch.export.Dim("batch", min=1, max=64)
    one = torch.export.export(layers, (rows,), dynamic_shapes=({0: batch},))
    both = torch.export.export(two, (rows, words), dynamic_shapes=({0: batch}, {0: batch}))
    torch.jit.script(net).save(folder / "scripted.pt")
    torch.jit.trace(layers, rows).save(folder / "traced.pt")
    torch.export.save(both, folder / "two.pt2")
    dicts = Dicts().eval()
    named = {"size": rows, "age": torch.tensor([[1.0], [2.0]])}
    lengths = {"batch": {name: {0: batch} for name in named}}
    torch.export.save(torch.export.export(dicts, (named,), dynamic_shapes=lengths), folder / "dict.pt2")
    old_layout(one, folder / "old.pt2")
    torch.save(layers, folder / "layers.pth")
    torch.save(layers, folder / "legacy.pth", _use_new_zipfile_serialization=False)
    torch.save(net, folder / "net.pth")
    torch.save(net.state_dict(), folder / "state.pth")
    save_file(net.state_dict(), folder / "weights.safetensors")
    if folder == HERE:
        return
    with torch.no_grad():
        found, best = two(rows, words)
        of_layers, of_net = layers(rows).tolist(), net(rows).tolist()
    single = {"inputs": rows.tolist()}
    answers = dict.fromkeys(("traced.pt", "old.pt2", "layers.pth", "legacy.pth"), (single, of_layers))
    answers |= dict.fromkeys(("scripted.pt", "net.pth", "state.pth", "weights.safetensors"), (single, of_net))
    asked = {"inputs": {"numbers": rows.tolist(), "word": words.tolist()}}
    names = [one.arg.name for one in both.graph_signature.output_specs]
    answers["two.pt2"] = (asked, dict(zip(names, [found.tolist(), best.tolist()], strict=True)))
    answers["dict.pt2"] = (
        {"inputs": {name: one.tolist() for name, one in named.items()}},
        {name: one.tolist() for name, one in dicts(named).items()},
    )
    tree, pair, mask = Tree(), (rows, rows * 2), torch.tensor([[1.0], [0.0]])
    torch.export.save(torch.export.export(tree, (pair, 3), {"mask": mask}), folder / "tree.pt2")
    answers["tree.pt2"] = (
        {"inputs": {"pair_0": rows.tolist(), "pair_1": (rows * 2).tolist(), "mask": mask.tolist()}},
        tree(pair, 3, mask=mask).tolist(),
    )
    (folder / "answers.json").write_text(json.dumps(answers))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]) if sys.argv[1:] else HERE)
