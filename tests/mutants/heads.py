"""Faults of heads, and of how they read targets."""

from functools import partial

from mutants.fault import Fault

_FILE = "heads.py"
_fault = partial(Fault, kind="heads")
_LOSS = '        total = F.binary_cross_entropy_with_logits(outputs, beyond.to(outputs.dtype), reduction="sum")\n'
_BEYOND = "        beyond = targets[:, None] > torch"
_NUMBERS = "torch.tensor([self.numbers[str(target)] for target in targets])"
_SCORES = "    def scores(self, outputs: Tensor) -> Tensor:\n"

FAULTS = [
    _fault("the loss is a mean", file=_FILE, before='reduction="sum"', after='reduction="mean"', check="loss_is_a_sum"),
    _fault("the count is one", file=_FILE, before="outputs.new_tensor(len(outputs))", after="outputs.new_tensor(1.0)",
           check="loss_is_a_sum"),
    _fault("the loss overflows", file=_FILE, before=_LOSS,
           after="        total = ((1 + outputs.exp()).log() - outputs * beyond).sum()\n",
           check="loss_is_finite_for_many_classes"),
    _fault("the loss weighs the first example of a batch", file=_FILE, before=_LOSS,
           after=f"{_LOSS}        total = total + outputs[0].square().sum()\n", check="loss_ignores_the_order"),
    _fault("classes have the order of a set", file="targets.py",
           before="sorted({str(value) for value in train})", after="{str(value) for value in train}",
           check="outputs_number_classes_in_order"),
    _fault("encode numbers the classes by their names", file=_FILE,
           before='self.classes, self.numbers = targets.classes, targets.details["values"]',
           after="self.classes = targets.classes\n"
                 "        self.numbers = {name: number for number, name in enumerate(sorted(targets.classes))}",
           check="outputs_number_classes_in_order"),
    _fault("predictions name the classes in another order", file=_FILE,
           before='{"class": self.classes[row.index(max(row))],',
           after='{"class": sorted(self.classes)[row.index(max(row))],', check="outputs_number_classes_in_order"),
    _fault("needs names another field", file=_FILE, before='frozenset({"pooled"})', after='frozenset({"tokens"})',
           check="reads_what_it_needs"),
    _fault("dropout is on in evaluation", file=_FILE, before="self.dropout(features.pooled)",
           after="F.dropout(features.pooled, 0.5)", check="evaluation_draws_nothing"),
    _fault("scores are no probabilities", file=_FILE,
           before="return beyond - F.pad(outputs.sigmoid(), (0, 1), value=0.0)", after="return beyond",
           check="scores_have_a_row_for_each_example"),
    _fault("a prediction holds a tensor", file=_FILE, before='"score": max(row),',
           after='"score": torch.tensor(max(row)),',
           check="predictions_can_be_read"),
    _fault("one prediction is missing", file=_FILE, before="for row in self.scores(outputs).tolist()",
           after="for row in self.scores(outputs).tolist()[:-1]", check="predictions_can_be_read"),
    _fault("a parameter is never used", file=_FILE, before="        self.first = nn.Parameter(ends[:1])\n",
           after="        self.first = nn.Parameter(ends[:1])\n        self.scale = nn.Parameter(torch.ones(1))\n",
           check="gradient_reaches_every_parameter"),
    _fault("the features get no gradient", file=_FILE, before="self.dropout(features.pooled)",
           after="self.dropout(features.pooled.detach())", check="gradient_reaches_every_parameter"),
    _fault("a random number is outside of the state", file=_FILE, before="self.first = nn.Parameter(ends[:1])",
           after="self.first = torch.randn(1)", check="state_holds_all"),
    _fault("the loss changes the outputs in place", file=_FILE, before=_BEYOND,
           after=f"        outputs = outputs.clamp_(-0.1, 0.1)\n{_BEYOND}", check="arguments_stay_as_they_are"),
    _fault("outputs depend on the rest of the batch", file=_FILE, before="return place - ends",
           after="return place - place.mean() - ends", check="alone_as_in_a_batch"),
    _fault("the head works in fp32 alone", file=_FILE, before="self.dropout(features.pooled)",
           after="self.dropout(features.pooled.float())", check="works_in_double_precision"),
    _fault("a strange target is a KeyError", file="targets.py", before="found[numbers[str(value)]] += 1",
           after="found[numbers[value]] += 1", check="read_refuses_with_a_reason"),
    _fault("targets hold what JSON does not", file="targets.py", before='{"values": numbers})',
           after='{"values": numbers, "known": set(classes)})', check="targets_are_plain_data"),
    _fault("encode smooths by what it draws", file=_FILE, before=f"return {_NUMBERS}",
           after=f"numbers = {_NUMBERS}\n        return numbers + (0 * torch.rand(len(numbers))).long()",
           check="encode_is_the_same_anywhere"),
    _fault("windows are added up", file=_FILE, before=_SCORES,
           after="    def join(self, outputs: Tensor, kept: Tensor) -> Tensor:\n"
                 f"        return outputs.sum(0, keepdim=True)\n\n{_SCORES}",
           check="joins_windows"),
    _fault("mixed targets are those of the first alone", file=_FILE, before=_SCORES,
           after="    def mix(self, targets: Tensor, partners: Tensor, share: Tensor) -> Tensor:\n"
                 f"        return targets\n\n{_SCORES}",
           check="mixed_targets_have_their_ends"),
]  # fmt: skip
