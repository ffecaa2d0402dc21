"""What a candidate of the search is made of: its architecture and how it learns.

Must not need torch: plans and cards are read without it.
"""

from typing import Literal

import msgspec

Kind = Literal["transformer", "convlstm"]
TRANSFORMER: Kind = "transformer"
CONVLSTM: Kind = "convlstm"


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """One point of the search space; equal shapes give equal networks.

    `width` is that of an attention head or the channels of the memory, `days` how many past days a
    ConvLSTM sees, `pull` how strongly weights are held near their start.
    """

    kind: Kind
    learning_rate: float = 0.006
    head_rate: float = 0.0006
    pull: float = 0.01
    width: int = 8
    hidden: int = 24
    days: int = 14
    dropout: float = 0.0

    @property
    def name(self) -> str:
        """How leaderboards call it."""
        parts = [f"lr {self.learning_rate:g}", f"head {self.head_rate:g}", f"width {self.width}"]
        if self.kind == CONVLSTM:
            parts.append(f"days {self.days}")
        if self.dropout:
            parts.append(f"dropout {self.dropout:g}")
        return f"{self.kind} ({', '.join(parts)})"
