"""Faults of strategies."""

from functools import partial

from mutants.fault import Fault

_FILE = "strategies.py"
_fault = partial(Fault, kind="strategies")
_PHASES = '    def phases(self, backbone: "Backbone", train: "Train") -> list[Phase]:\n'
_FROZEN = "        frozen = len(backbone.layers()) - self.layers\n"


def _with(method: str) -> str:
    return f"    {method}\n\n{_PHASES}"


FAULTS = [
    _fault("a layer has no rate", file=_FILE, before="(None,) * frozen", after="(None,) * max(0, frozen - 1)",
           check="phases_fit_the_layers"),
    _fault("frozen is a rate of zero", file=_FILE, before="(None,) * frozen", after="(0.0,) * frozen",
           check="phases_fit_the_layers"),
    _fault("the head has no rate", file=_FILE, before="self.head_multiplier * train.learning_rate", after="0.0",
           check="phases_fit_the_layers"),
    _fault("trains names what there is not", file=_FILE, before="self.head_multiplier * train.learning_rate)]",
           after='self.head_multiplier * train.learning_rate, frozenset({"head.weight"}))]',
           check="phases_fit_the_layers"),
    _fault("epochs are not the recipe's", file=_FILE, before="train.epochs", after="5", check="epochs_add_up"),
    _fault("phases are drawn", file=_FILE, before='"last_layers"',
           after='f"last_layers_{__import__(\'random\').random()}"', check="phases_are_the_same_again"),
    _fault("phases changes the weights", file=_FILE, before=_FROZEN,
           after=f"{_FROZEN}        for parameter in backbone.parameters():\n            parameter.data.mul_(0.99)\n",
           check="phases_are_the_same_again"),
    _fault("a rate has no limit", file="builders.py", before="head_multiplier: Annotated[float, Range(above=0)] = 10.0",
           after="head_multiplier: float = 10.0", check="options_have_limits"),
    _fault("a number of layers has no limit", file="builders.py", before="layers: Size = 1", after="layers: int = 1",
           check="options_have_limits"),
    _fault("what adapt inserts is in no layer", file=_FILE, before=_PHASES,
           after=_with('def adapt(self, backbone):\n        import torch\n\n'
                       '        backbone.register_parameter("extra", torch.nn.Parameter(torch.zeros(1)))'),
           check="adapters_are_in_the_layers"),
    _fault("merge changes the answers", file=_FILE, before=_PHASES,
           after=_with("def merge(self, backbone):\n        for parameter in backbone.parameters():\n"
                       "            parameter.data.mul_(0.9)\n        return True"),
           check="merging_keeps_the_answers"),
    _fault("layers are declared and not trained", file=_FILE, before="(train.learning_rate,)", after="(1e-30,)",
           check="what_is_trained_changes"),
    _fault("what adapt inserts writes to frozen weights", file=_FILE, before=_PHASES,
           after=_with("def adapt(self, backbone):\n        weight = next(backbone.parameters())\n"
                       "        backbone.register_forward_hook(lambda *_: weight.data.mul_(0.99) and None)"),
           check="what_is_frozen_stays"),
    _fault("hardly anything is learnt", file=_FILE, before="        return [Phase(",
           after="        train = __import__('dataclasses').replace(train, learning_rate=1e-6)\n"
                 "        rates = tuple(rate and 1e-6 for rate in rates)\n        return [Phase(",
           check="it_learns"),
    _fault("combine works in place", file=_FILE, before=_PHASES,
           after=_with("def combine(self, trained, score):\n        state = trained.best[0].read()\n"
                       "        for tensor in state.values():\n            if tensor.is_floating_point():\n"
                       "                tensor.mul_(0.999)\n        return state, {}"),
           check="combining_is_plain"),
    _fault("the facts of combine are no plain data", file=_FILE, before=_PHASES,
           after=_with("def combine(self, trained, score):\n        state = trained.best[0].read()\n"
                       "        return state, {\"weights\": {1, 2}}"),
           check="combining_is_plain"),
    _fault("trainings differ by what is drawn", file=_FILE, before=_PHASES,
           after=_with("def adapt(self, backbone):\n        import torch\n\n        torch.seed()\n"
                       "        for parameter in backbone.parameters():\n"
                       "            parameter.data.add_(0.01 * torch.randn_like(parameter))"),
           check="training_can_be_repeated"),
]  # fmt: skip
