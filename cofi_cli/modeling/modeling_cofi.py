"""The encoder as transformers models, with task heads."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers.modeling_outputs import (
    BaseModelOutputWithPooling,
    SequenceClassifierOutput,
)

from .configuration_cofi import CofiConfig
from .dropout import dropout as drop
from .encoder import Encoder, init_weights
from .gather import put
from .masks import Masks

Own = TypeVar("Own", bound="CofiPreTrainedModel")


@dataclass
class MaskedOutput:
    """What distillation needs of one pass.

    Attributes:
        logits: (B, num_labels).
        states: L + 1 hidden states, (B, T, k).
        kept: the k kept hidden dims, (k,), or ``None`` where k is the full width.
    """

    logits: Tensor
    states: list[Tensor]
    kept: Optional[Tensor]


class CofiPreTrainedModel(PreTrainedModel):
    """Loading, saving and initialisation."""

    config: CofiConfig
    config_class = CofiConfig
    base_model_prefix = "model"
    _supports_sdpa = True

    if TYPE_CHECKING:

        def to(self: Own, device: torch.device | str) -> Own:  # type: ignore[override]
            """Move to a device; torch's own ``to`` with the type that is used here."""

    def _init_weights(self, module: nn.Module) -> None:
        init_weights(module)

    def _bias(self, attention_mask: Optional[Tensor], dtype: torch.dtype) -> Optional[Tensor]:
        """Turn a 0/1 mask, (B, T), into what is added to the scores, (B, 1, 1, T)."""
        if attention_mask is None:
            return None
        off = torch.finfo(torch.float32).min / 2
        return ((1.0 - attention_mask[:, None, None, :].to(torch.float32)) * off).to(dtype)

    @property
    def _eager(self) -> bool:
        return bool(self.config._attn_implementation == "eager")


class CofiModel(CofiPreTrainedModel):
    """The bare encoder with BERT's pooler."""

    def __init__(self, config: CofiConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config)
        self.encoder = Encoder(config)
        self.pooler = (
            nn.Linear(config.hidden_size, config.pooler_size) if add_pooling_layer else None
        )
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """Return the word embeddings, (vocabulary, d)."""
        return self.encoder.embeddings.word

    def set_input_embeddings(self, value: nn.Embedding) -> None:  # type: ignore[override]
        """Replace the word embeddings, (vocabulary, d)."""
        self.encoder.embeddings.word = value

    def states(
        self,
        input_ids: Tensor,
        attention_mask: Optional[Tensor] = None,
        token_type_ids: Optional[Tensor] = None,
        *,
        masks: Optional[Masks] = None,
        skip_closed: bool = True,
    ) -> tuple[list[Tensor], Optional[Tensor]]:
        """Return all hidden states and the kept hidden dims; see :class:`Encoder`."""
        bias = self._bias(attention_mask, torch.float32)
        result: tuple[list[Tensor], Optional[Tensor]] = self.encoder(
            input_ids,
            bias,
            token_type_ids,
            masks=masks,
            skip_closed=skip_closed,
            eager=self._eager,
        )
        return result

    def pool(self, last: Tensor, kept: Optional[Tensor]) -> Tensor:
        """Return tanh(W x_[CLS] + b), (B, pooler_size), for the last state, (B, T, k)."""
        if self.pooler is None:
            raise ValueError("this model was built without a pooler")
        first = put(last[:, 0], kept, -1, self.pooler.in_features)
        return torch.tanh(self.pooler(first))

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Optional[Tensor] = None,
        token_type_ids: Optional[Tensor] = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPooling:
        """Return the last state, (B, T, d), the pooled one and on request all states."""
        states, _ = self.states(input_ids, attention_mask, token_type_ids)
        return BaseModelOutputWithPooling(
            last_hidden_state=states[-1],
            pooler_output=None if self.pooler is None else self.pool(states[-1], None),
            hidden_states=tuple(states) if kwargs.get("output_hidden_states") else None,
        )


class CofiForSequenceClassification(CofiPreTrainedModel):
    """The encoder with a pooled classification or regression head."""

    def __init__(self, config: CofiConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.model = CofiModel(config)
        dropout = config.classifier_dropout
        self.dropout = config.hidden_dropout_prob if dropout is None else dropout
        self.classifier = nn.Linear(config.pooler_size, config.num_labels)
        self.post_init()

    def run(
        self,
        input_ids: Tensor,
        attention_mask: Optional[Tensor] = None,
        token_type_ids: Optional[Tensor] = None,
        *,
        masks: Optional[Masks] = None,
        skip_closed: bool = True,
    ) -> MaskedOutput:
        """Run with all hidden states, masked or not. Inputs are (B, T)."""
        states, kept = self.model.states(
            input_ids,
            attention_mask,
            token_type_ids,
            masks=masks,
            skip_closed=skip_closed,
        )
        pooled = self.model.pool(states[-1], kept)
        logits = self.classifier(drop(pooled, self.dropout, self.training))
        return MaskedOutput(logits=logits, states=states, kept=kept)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Optional[Tensor] = None,
        token_type_ids: Optional[Tensor] = None,
        labels: Optional[Tensor] = None,
        **kwargs: Any,
    ) -> SequenceClassifierOutput:
        """Return logits, (B, num_labels), and the loss when labels, (B,), are given."""
        out = self.run(input_ids, attention_mask, token_type_ids)
        loss = None
        if labels is not None:
            if self.num_labels == 1:
                loss = F.mse_loss(out.logits.squeeze(-1), labels.to(out.logits.dtype))
            else:
                loss = F.cross_entropy(out.logits, labels)
        return SequenceClassifierOutput(
            loss=loss,
            logits=out.logits,
            hidden_states=tuple(out.states) if kwargs.get("output_hidden_states") else None,
        )


# What register_for_auto_class sets, without its import of every auto class.
CofiConfig._auto_class = "AutoConfig"
CofiModel._auto_class = "AutoModel"
CofiForSequenceClassification._auto_class = "AutoModelForSequenceClassification"
