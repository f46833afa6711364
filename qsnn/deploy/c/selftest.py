"""The C program that compares the net with golden vectors."""

from qsnn.deploy.arithmetic import Whole
from qsnn.deploy.c.program import Program, templates, tidy, title
from qsnn.deploy.c.text import values
from qsnn.deploy.decision import prediction
from qsnn.deploy.golden import golden, random_inputs, steps_for
from qsnn.deploy.model import RASTER, Model


def selftest(model: Model, program: Program, inputs: Whole | None = None) -> str:
    """The C program. ``inputs``: (S, T, I), random ones unless given."""
    found = golden(model, random_inputs(model, steps_for(model)) if inputs is None else inputs)
    types = {(one["name"], m.tensor): m.type for one in program.layers for m in one["members"]}
    tensors = [
        {
            "layer": layer,
            "tensor": tensor,
            "type": types[layer, tensor],
            "count": codes.shape[2],
            "content": values(codes),
        }
        for (layer, tensor), codes in found.codes.items()
    ]
    decides = model.decision.rule != RASTER
    classes = values(prediction(found.votes.reshape(-1, found.votes.shape[2]))) if decides else ""
    return tidy(
        templates().get_template("selftest.c.jinja").render(
            name=program.name, upper=program.name.upper(), title=title(model), tensors=tensors, samples=len(found.inputs),
            steps=found.inputs.shape[1], inputs=values(found.inputs), outputs=values(found.outputs),
            classes=classes, decides=decides,
        )
    )  # fmt: skip
