"""What a candidate of the search is made of: its architecture and how it learns.

Must not need torch: plans and cards are read without it.
"""

from typing import Literal

import msgspec

Kind = Literal["transformer", "convlstm", "mixture"]
Loss = Literal["cohort", "person"]
TRANSFORMER: Kind = "transformer"
CONVLSTM: Kind = "convlstm"
MIXTURE: Kind = "mixture"  # of kernels: it has no weights, so that nothing below says how it learns


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """One point of the search space; equal shapes give equal networks.

    `width` is that of an attention head or the channels of the memory; `days` how many past days a
    ConvLSTM sees, in `layers` memories on top of each other, `patch` slots to a position; `history`
    from how many days on a Transformer starts with the rest almost out of sight (0: none). `pull`
    is how strongly weights are held near their start; `loss` says in whose units an error counts:
    the cohort's (`cohort`), or each person's own level (`person`).
    """

    kind: Kind
    learning_rate: float = 0.006
    head_rate: float = 0.0006
    pull: float = 0.01
    width: int = 8
    hidden: int = 24
    days: int = 14
    dropout: float = 0.0
    layers: int = 1
    patch: int = 1
    history: int = 0
    loss: Loss = "cohort"

    @property
    def name(self) -> str:
        """How leaderboards call it."""
        if self.kind == MIXTURE:
            return "mixture of kernels"
        parts = [f"lr {self.learning_rate:g}", f"head {self.head_rate:g}", f"width {self.width}"]
        if self.kind == CONVLSTM:
            parts.append(f"days {self.days}")
        for name, plain in (("layers", 1), ("patch", 1), ("history", 0)):
            if (value := getattr(self, name)) != plain:
                parts.append(f"{name} {value}")
        if self.loss != "cohort":
            parts.append(f"loss by {self.loss}")
        if self.dropout:
            parts.append(f"dropout {self.dropout:g}")
        return f"{self.kind} ({', '.join(parts)})"
