"""Faults of metrics."""

from functools import partial

from mutants.fault import Fault

_FILE = "metrics.py"
_fault = partial(Fault, kind="metrics")
_STATE = 'self.add_state(name, torch.zeros(classes, dtype=torch.int64), dist_reduce_fx="sum")'

FAULTS = [
    _fault("a state has no reduction", file=_FILE, before='dist_reduce_fx="sum"', after="dist_reduce_fx=None",
           check="shards_add_up"),
    _fault("states are reduced to the largest", file=_FILE, before='dist_reduce_fx="sum"', after='dist_reduce_fx="max"',
           check="shards_add_up"),
    _fault("the state is a plain attribute", file=_FILE, before=_STATE,
           after="setattr(self, name, torch.zeros(classes, dtype=torch.int64))", check="reset_forgets"),
    _fault("larger_is_better is wrong", file="__init__.py", before="larger_is_better=False",
           after="larger_is_better=True", check="right_answers_are_best"),
    _fault("kinds are wrong", file="__init__.py", before='kinds=("classes",)', after='kinds=("numbers",)',
           check="value_is_one_number"),
    _fault("it is registered for no kind", file="__init__.py", before='kinds=("classes",),', after="",
           check="can_be_tried"),
    _fault("batches weigh alike, however large", file=_FILE,
           before="self.count.index_add_(0, targets, torch.ones_like(targets))",
           after="self.count += torch.bincount(targets, minlength=len(self.count)).clamp_max(1)",
           check="batches_add_up"),
    _fault("the value is a vector", file=_FILE, before="self.count[present]).mean()", after="self.count[present])",
           check="value_is_one_number"),
    _fault("compute changes the state", file=_FILE, before="        present = self.count > 0\n",
           after="        self.count += 1\n        present = self.count > 0\n", check="computing_changes_nothing"),
    _fault("scores are rounded in place", file=_FILE, before="scores.argmax(1)", after="scores.mul_(0.5).argmax(1)",
           check="arguments_stay_as_they_are"),
    _fault("ties are broken at random", file=_FILE, before="scores.argmax(1)",
           after="(scores + 0.3 * torch.rand_like(scores)).argmax(1)", check="nothing_is_drawn"),
    _fault("it cannot be pickled", file=_FILE, before="        super().__init__()\n",
           after="        super().__init__()\n        self.told = lambda value: round(value, 3)\n",
           check="can_be_pickled"),
    _fault("the last example of a batch counts for more", file=_FILE, before="        self.count.index_add_(",
           after="        self.apart[targets[-1]] += 1\n        self.count.index_add_(", check="batches_add_up"),
    _fault("one example is a crash", file=_FILE, before="        present = self.count > 0\n",
           after="        present = self.count > 0\n        if self.count.sum() < 2:\n"
                 "            raise RuntimeError('two examples are needed')\n", check="few_examples_are_measured"),
    _fault("values differ with the order", file=_FILE, before="(scores.argmax(1) - targets).abs())",
           after="(scores.argmax(1) - targets).abs() * torch.arange(len(targets)))", check="order_does_not_matter"),
    _fault("its own draws have a value of their own", file=_FILE, before="    def compute(self) -> Tensor:\n",
           after="    def resampled(self, scores, targets, draws):\n        return [0.5 for _ in draws]\n\n"
                 "    def compute(self) -> Tensor:\n",
           check="resampling_agrees"),
    _fault("the default is none that a recipe may write", file="builders.py", before="def distance(targets: Targets)",
           after="def distance(targets: Targets, *, power: Annotated[float, Range(above=0)] = 0.0)",
           check="can_be_loaded"),
]  # fmt: skip
