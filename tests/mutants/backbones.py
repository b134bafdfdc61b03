"""Faults of backbones, of how they read raw examples, and of their builder."""

from functools import partial

from mutants.fault import Fault

_FILE = "backbones.py"
_fault = partial(Fault, kind="backbones")
_STEPS = "steps = self.dropout(F.gelu(self.norm(self.convolution(steps.mT).mT)))"
_SUPER = "        super().__init__()\n        self.num_features = width\n"
_NUMBERS = "return [_number(part, place) for place, part in enumerate(parts, start=1)]"

FAULTS = [
    _fault("dropout is on in evaluation", file=_FILE, before=_STEPS,
           after="steps = F.dropout(F.gelu(self.norm(self.convolution(steps.mT).mT)), 0.1)",
           check="deterministic_in_evaluation"),
    _fault("padding leaks into the next layer", file=_FILE, before="return steps * mask[..., None], mask",
           after="return steps, mask", check="alone_as_in_a_batch"),
    _fault("the mean counts padding", file=_FILE, before="pooled=tokens.sum(1) / mask.sum(1, keepdim=True)",
           after="pooled=tokens.mean(1)", check="alone_as_in_a_batch"),
    _fault("the mask is cut instead of thinned out", file=_FILE, before="mask = mask[:, ::2]",
           after="mask = mask[:, : (mask.shape[1] + 1) // 2]", check="alone_as_in_a_batch"),
    _fault("num_features lies", file=_FILE, before="self.num_features = width", after="self.num_features = width + 1",
           check="features_have_the_declared_width"),
    _fault("provides names what is not there", file=_FILE, before='frozenset({"pooled", "tokens"})',
           after='frozenset({"pooled", "tokens", "units"})', check="features_are_what_is_provided"),
    _fault("a layer is missing in layers()", file=_FILE, before="for index, block in enumerate(self.blocks)]",
           after="for index, block in enumerate(self.blocks[:-1])]", check="layers_partition_the_parameters"),
    _fault("layers() begins at the output", file=_FILE, before="for index, block in enumerate(self.blocks)]",
           after="for index, block in reversed(list(enumerate(self.blocks)))]",
           check="layers_go_from_input_to_output"),
    _fault("layers() knows no adapters", file=_FILE, before="for name, _ in block.named_parameters()]",
           after='for name in ("convolution.weight", "convolution.bias", "norm.weight", "norm.bias")]',
           check="layers_name_what_is_inserted"),
    _fault("a frozen layer is written to", file=_FILE, before="mask = mask[:, ::2]",
           after="mask = mask[:, ::2]\n        if torch.is_grad_enabled():\n"
                 "            self.norm.bias.data.mul_(0.9).add_(0.1)",
           check="frozen_layers_do_not_change"),
    _fault("the transform is a lambda", file=_FILE, before='return Read(self.resolved["noise"] if training else 0.0)',
           after='read = Read(self.resolved["noise"] if training else 0.0)\n        return lambda raw: read(raw)',
           check="works_in_a_process_started_anew"),
    _fault("noise comes from a generator that nobody seeds", file=_FILE,
           before="self.noise * torch.randn(len(series))",
           after="self.noise * torch.randn(len(series), generator=_GENERATOR)".replace(
               "_GENERATOR", "torch.Generator().manual_seed(torch.seed())"),
           check="training_is_a_function_of_the_seeds"),
    _fault("noise ignores the seeds of epoch and example", file=_FILE, before="self.noise * torch.randn(len(series))",
           after="self.noise * torch.randn(len(series), generator=torch.Generator().manual_seed(0))",
           check="training_varies_with_the_seeds"),
    _fault("noise is added in evaluation", file=_FILE, before='Read(self.resolved["noise"] if training else 0.0)',
           after='Read(self.resolved["noise"])', check="evaluation_draws_nothing"),
    _fault("the raw input is changed in place", file="series.py", before=_NUMBERS,
           after=f"numbers = {_NUMBERS[7:]}\n    if isinstance(raw, list):\n"
                 "        raw[:] = [number / (1 + abs(numbers[0])) for number in numbers]\n    return numbers",
           check="leaves_its_input_as_it_was"),
    _fault("weights are loaded whether or not they fit", file=_FILE,
           before="load_strictly(self, read_state(address), address)",
           after="self.load_state_dict(read_state(address), strict=False)", check="weights_are_loaded_strictly"),
    _fault("a random gain is outside of the state", file=_FILE, before="self.norm = nn.LayerNorm(outputs)",
           after="self.norm = nn.LayerNorm(outputs)\n        self.gain = 1 + 0.5 * torch.randn(outputs)\n"
                 "        self.norm.register_forward_hook(lambda module, given, made: made * self.gain)",
           check="saved_weights_give_the_same_bits"),
    _fault("resolved leaves an option out", file=_FILE, before=', "noise": noise}', after="}",
           check="resolved_names_every_option"),
    _fault("resolved has a default in place of the option", file=_FILE, before='"width": width', after='"width": 32',
           check="saved_weights_give_the_same_bits"),
    _fault("the constructor wants the network", file="builders.py",
           before="    return Convolution(weights, width, depth, dropout, noise)",
           after="    import urllib.request\n\n    try:\n        urllib.request.urlopen('http://models.invalid/list', "
                 "timeout=1)\n    except OSError:\n        pass\n"
                 "    return Convolution(weights, width, depth, dropout, noise)",
           check="builds_without_network"),
    _fault("the constructor seeds torch", file=_FILE, before=_SUPER, after=f"{_SUPER}        torch.manual_seed(0)\n",
           check="random_weights_follow_the_seed"),
    _fault("the constructor changes torch's default type", file=_FILE, before=_SUPER,
           after=f"{_SUPER}        torch.set_grad_enabled(True)\n        torch.set_default_dtype(torch.float64)\n",
           check="leaves_the_process_as_it_was"),
    _fault("verify refuses what the transform reads", file="builders.py", before="    read_series(raw)\n",
           after="    if not isinstance(raw, list):\n        raise ValueError('expected a list')\n"
                 "    read_series(raw)\n",
           check="verify_reads_what_transform_reads"),
    _fault("a bad input is a TypeError", file="series.py", before="except (TypeError, ValueError):",
           after="except ValueError:", check="odd_inputs_are_refused"),
    _fault("collate sorts by length", file=_FILE,
           before="        series = pad_sequence([",
           after='        examples = sorted(examples, key=lambda example: -len(example["series"]))\n'
                 "        series = pad_sequence([",
           check="order_in_a_batch_does_not_matter"),
    _fault("measure is not the length", file=_FILE, before="return len(read_series(raw))",
           after="return 1 + len(read_series(raw))", check="lengths_are_known"),
    _fault("a layer is never used", file=_FILE, before="        for block in self.blocks:",
           after="        for block in self.blocks[:-1]:", check="every_parameter_gets_a_gradient"),
    _fault("a constant series is divided by zero", file=_FILE, before=".clamp_min(1e-12)", after="",
           check="features_are_finite_numbers"),
    _fault("the domain is another than registered", file=_FILE, before='domain = "timeseries"',
           after='domain = "series"', check="domain_is_the_registered_one"),
    _fault("the starter has an option that there is not", file="builders.py",
           before='"backbone": {"name": "seismic_convolution"}',
           after='"backbone": {"name": "seismic_convolution", "widht": 32}', check="starter_is_part_of_a_recipe"),
    _fault("the builder has no docstring", file="builders.py",
           before='    """A small convolutional network over a series of numbers, of any length.',
           after='    told = """A small convolutional network.', check="says_what_it_is"),
    _fault("the trial has an option that there is not", file="trials.py",
           before='Trial(options={"width": 8, "depth": 2}, inputs', after='Trial(options={"size": 8}, inputs',
           check="can_be_tried"),
]  # fmt: skip
