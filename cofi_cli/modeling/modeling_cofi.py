"""The encoder as transformers models, with task heads."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers.activations import ACT2FN
from transformers.modeling_outputs import (
    BaseModelOutput,
    BaseModelOutputWithPooling,
    MultipleChoiceModelOutput,
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)
from transformers.utils import ModelOutput, can_return_tuple

from .configuration_cofi import CofiConfig

# transformers 4.57 copies only what this file imports, used here or not.
from .disentangled import Distances  # noqa: F401
from .dropout import dropout as drop
from .encoder import Encoder, init_weights
from .gather import take  # noqa: F401
from .losses import IGNORE as IGNORE
from .losses import sequence_loss, span_loss, token_loss
from .low_rank import word_table  # noqa: F401
from .masks import Masks
from .norms import layer_norm
from .positions import OFF
from .select import Hidden  # noqa: F401

Own = TypeVar("Own", bound="CofiPreTrainedModel")
Forward = TypeVar("Forward", bound=Callable[..., Any])


def tuple_if_asked(forward: Forward) -> Forward:
    """Let ``return_dict=False``, of a call or the configuration, turn outputs into a tuple."""
    return cast(Forward, can_return_tuple(forward))


@dataclass
class MaskedOutput:
    """What distillation needs of one pass.

    Attributes:
        logits: what the head says: (B, C) of a pooled head, (B, T, C) of one that reads
            every token, (B, e) of an embedder, (B, T, e) of a general encoder.
        states: L + 1 hidden states, (B, T, d).
        attentions: L attention weights, (B, h, T, T), where they are asked for.
    """

    logits: Tensor
    states: list[Tensor]
    attentions: Optional[list[Tensor]] = None


class CofiPreTrainedModel(PreTrainedModel):
    """Loading, saving and initialisation."""

    config: CofiConfig
    config_class = CofiConfig
    base_model_prefix = "model"
    _supports_sdpa = True
    _no_split_modules = ["Embeddings", "Layer"]  # noqa: RUF012
    supports_gradient_checkpointing = True
    # The losses are means over a batch, whatever a trainer accumulates.
    accepts_loss_kwargs = False

    if TYPE_CHECKING:

        def to(self: Own, device: torch.device | str) -> Own:  # type: ignore[override]
            """Move to a device; torch's own ``to`` with the type that is used here."""

    def _init_weights(self, module: nn.Module) -> None:
        init_weights(module)

    def _bias(self, attention_mask: Optional[Tensor], dtype: torch.dtype) -> Optional[Tensor]:
        """Turn a 0/1 mask, (B, T), into what is added to the scores, (B, 1, 1, T)."""
        if attention_mask is None:
            return None
        return ((1.0 - attention_mask[:, None, None, :].to(torch.float32)) * OFF).to(dtype)

    @property
    def _eager(self) -> bool:
        return bool(self.config._attn_implementation == "eager")

    def _asks(self, options: dict[str, Any], output: str) -> bool:
        """Whether a call, or else the configuration, asks for ``hidden_states`` or such."""
        asked = options.get(f"output_{output}")
        return bool(getattr(self.config, f"output_{output}") if asked is None else asked)

    def save_pretrained(self, *args: Any, **kwargs: Any) -> None:
        """Write the model; any head's folder also opens as the bare encoder, without cofi."""
        known = getattr(self.config, "auto_map", None) or {}
        self.config.auto_map = known | {"AutoModel": "modeling_cofi.CofiModel"}
        super().save_pretrained(*args, **kwargs)


class CofiModel(CofiPreTrainedModel):
    """The bare encoder with its pooler: one dense layer over the [CLS] state or the mean state.

    The layer is whatever stands between the stream and the classifier of an architecture. A general
    encoder has a linear map of each token's last state in its place.
    """

    def __init__(self, config: CofiConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config)
        add_pooling_layer = add_pooling_layer and not config.wide_states
        self.encoder = Encoder(config)
        width, has_bias = config.pooler_size, config.pooler_bias
        self.pooler = (
            nn.Linear(config.hidden_size, width, bias=has_bias) if add_pooling_layer else None
        )
        has_norm = config.pooler_norm and add_pooling_layer
        self.pooler_norm = layer_norm(config, width) if has_norm else None
        self.pooler_act = ACT2FN[config.pooler_act]
        self.state_map = nn.Linear(config.hidden_size, width) if config.wide_states else None
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """Return the word embeddings, (vocabulary, d)."""
        return self.encoder.embeddings.word

    def set_input_embeddings(self, value: nn.Embedding) -> None:  # type: ignore[override]
        """Replace the word embeddings, (vocabulary, d)."""
        self.encoder.embeddings.word = value

    def states(
        self,
        input_ids: Optional[Tensor] = None,
        attention_mask: Optional[Tensor] = None,
        token_type_ids: Optional[Tensor] = None,
        *,
        masks: Optional[Masks] = None,
        skip_closed: bool = True,
        inputs_embeds: Optional[Tensor] = None,
        attentions: Optional[list[Tensor]] = None,
    ) -> list[Tensor]:
        """Return all hidden states; see :class:`Encoder`.

        Raises:
            ValueError: both of ``input_ids`` and ``inputs_embeds`` are given, or neither.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give either input_ids or inputs_embeds")
        if inputs_embeds is not None:
            input_ids = inputs_embeds.new_zeros(inputs_embeds.shape[:2], dtype=torch.long)
        bias = self._bias(attention_mask, torch.float32)
        states: list[Tensor] = self.encoder(
            input_ids,
            bias,
            token_type_ids,
            masks=masks,
            skip_closed=skip_closed,
            eager=self._eager,
            words=inputs_embeds,
            weights=attentions,
        )
        return states

    def pool(self, last: Tensor, attention_mask: Optional[Tensor] = None) -> Tensor:
        """Return act(W x + b), (B, pooler_size), x the state of [CLS] or the mean over tokens.

        It has unit length where the configuration says ``normalize``.

        Args:
            last: the last state, (B, T, d).
            attention_mask: (B, T), for the mean; ``None`` takes all positions.
        """
        x = last[:, 0] if self.config.pooling == "cls" else mean_state(last, attention_mask)
        pooled = self.transform(x)
        return F.normalize(pooled, dim=-1) if self.config.normalize else pooled

    def transform(self, x: Tensor) -> Tensor:
        """Apply the pooler's dense layer, activation and norm to states, (..., d)."""
        if self.pooler is None:
            raise ValueError("this model was built without a pooler")
        y: Tensor = self.pooler_act(self.pooler(x))
        return y if self.pooler_norm is None else self.pooler_norm(y)

    def widened(self, last: Tensor) -> Tensor:
        """Return the last state, (B, T, d), at the width of a general encoder's answers.

        It is (B, T, pooler_size) then, and of other models as it is.
        """
        return last if self.state_map is None else self.state_map(last)

    @tuple_if_asked
    def forward(
        self,
        input_ids: Optional[Tensor] = None,
        attention_mask: Optional[Tensor] = None,
        token_type_ids: Optional[Tensor] = None,
        inputs_embeds: Optional[Tensor] = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPooling:
        """Return the last state, (B, T, d), and the pooled one, (B, pooler_size).

        Of a general encoder the last state is :meth:`widened`, and there is no pooled one.

        Args:
            input_ids, token_type_ids: (B, T) int.
            attention_mask: (B, T), 0 at padding.
            inputs_embeds: (B, T, e), embedded words in the place of ``input_ids``.
            kwargs: ``output_hidden_states``, ``output_attentions`` and ``return_dict``, each by
                default as the configuration says. A layer without attention has weights of
                no heads, (B, 0, T, T).
        """
        weights: Optional[list[Tensor]] = [] if self._asks(kwargs, "attentions") else None
        states = self.states(
            input_ids,
            attention_mask,
            token_type_ids,
            inputs_embeds=inputs_embeds,
            attentions=weights,
        )
        last = states[-1]
        return BaseModelOutputWithPooling(
            last_hidden_state=self.widened(last),
            pooler_output=None if self.pooler is None else self.pool(last, attention_mask),
            hidden_states=tuple(states) if self._asks(kwargs, "hidden_states") else None,
            attentions=None if weights is None else tuple(weights),
        )


def mean_state(last: Tensor, attention_mask: Optional[Tensor]) -> Tensor:
    """Return the mean over real positions, (B, d), of the last state, (B, T, d)."""
    if attention_mask is None:
        return last.mean(1)
    mask = attention_mask[:, :, None].to(last.dtype)
    return (last * mask).sum(1) / mask.sum(1).clamp(min=1e-9)


class CofiForTask(CofiPreTrainedModel):
    """An encoder under a task head; each kind of head has its class.

    Attributes:
        kind: its name in :data:`HEADS`.
        outputs: width of the head where that is no choice.
        rows: rows of the classifier, where they are not one per output.
        has_parts: whether a row is several sequences, one per output: (B, C, T).
        has_pooler: whether the head reads the pooler's output, not the stream itself.
        per_token: whether it answers for each token.
        is_bare: whether a dense checkpoint stores nothing of it, the bare encoder alone.
        is_general: whether any other head may take its place.
        kept_as: how a teacher's answers to training rows are kept.
        output_names: what its answers are called in a graph, as optimum's classes and
            sentence-transformers look for them.
        returned: the output of transformers' class of the same name.
    """

    kind = ""
    returned: Callable[..., ModelOutput] = SequenceClassifierOutput
    output_names: tuple[str, ...] = ("logits",)
    outputs: Optional[int] = None
    rows: Optional[int] = None
    has_parts = False
    has_pooler = True
    per_token = False
    is_bare = False
    is_general = False
    kept_as = torch.float32
    model: CofiModel
    classifier: nn.Linear

    def __init__(self, config: CofiConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        config.wide_states = config.wide_states and self.is_general
        self.has_pooler = type(self).has_pooler or config.pool_tokens
        self.model = CofiModel(config, add_pooling_layer=self.has_pooler)
        dropout = config.classifier_dropout
        self.dropout = config.hidden_dropout_prob if dropout is None else dropout
        self._build_head(config)
        self.post_init()

    def _build_head(self, config: CofiConfig) -> None:
        width = config.pooler_size if self.has_pooler else config.hidden_size
        self.classifier = nn.Linear(width, self.rows or config.num_labels)

    def head(self, last: Tensor, mask: Optional[Tensor]) -> Tensor:
        """Return the answers for the last state, (B, T, d)."""
        raise NotImplementedError

    @staticmethod
    def loss(
        logits: Tensor, batch: Mapping[str, Tensor], problem_type: Optional[str] = None
    ) -> Tensor:
        """Return the loss against ``batch["labels"]``, a scalar.

        Args:
            logits: as :meth:`head` returns them.
            batch: with ``attention_mask``, (B, T), and the labels.
            problem_type: as transformers' configurations have it.
        """
        raise NotImplementedError

    @staticmethod
    def label_count(batch: Mapping[str, Tensor]) -> Tensor:
        """Return how many labels the loss is a mean over, a scalar."""
        return batch["labels"].new_tensor(len(batch["labels"]))

    def outputs_of(self, last: Tensor, answer: Tensor) -> tuple[Tensor, ...]:
        """Return what :attr:`output_names` names, of the last state and the head's answer."""
        return (answer,)

    @property
    def answer_width(self) -> int:
        """The numbers in an answer, of a head that answers for each token in that of a token."""
        return self.config.pooler_size if self.is_bare else self.config.num_labels

    def leave_out_identity(self) -> None:
        """Leave out, in place, what changes nothing, before the model is exported."""

    @property
    def reader(self) -> str:
        """The module that reads the residual stream, the name of its tensors without the part."""
        return "model.pooler" if self.has_pooler else "classifier"

    def run(
        self,
        input_ids: Optional[Tensor] = None,
        attention_mask: Optional[Tensor] = None,
        token_type_ids: Optional[Tensor] = None,
        *,
        masks: Optional[Masks] = None,
        skip_closed: bool = True,
        inputs_embeds: Optional[Tensor] = None,
        with_attentions: bool = False,
    ) -> MaskedOutput:
        """Run with all hidden states, masked or not. Inputs are as ``forward`` takes them."""
        attentions: Optional[list[Tensor]] = [] if with_attentions else None
        states = self.model.states(
            input_ids,
            attention_mask,
            token_type_ids,
            masks=masks,
            skip_closed=skip_closed,
            inputs_embeds=inputs_embeds,
            attentions=attentions,
        )
        logits = self.head(states[-1], attention_mask)
        return MaskedOutput(logits=logits, states=states, attentions=attentions)

    def _run(self, options: dict[str, Any], **inputs: Any) -> tuple[MaskedOutput, dict[str, Any]]:
        """Run a dense or compact model; return with it the outputs that are asked for."""
        out = self.run(**inputs, with_attentions=self._asks(options, "attentions"))
        states = tuple(out.states) if self._asks(options, "hidden_states") else None
        attentions = None if out.attentions is None else tuple(out.attentions)
        return out, {"hidden_states": states, "attentions": attentions}

    @tuple_if_asked
    def forward(
        self,
        input_ids: Optional[Tensor] = None,
        attention_mask: Optional[Tensor] = None,
        token_type_ids: Optional[Tensor] = None,
        labels: Optional[Tensor] = None,
        inputs_embeds: Optional[Tensor] = None,
        **kwargs: Any,
    ) -> Any:
        """Return logits as :meth:`head` has them, and the loss when labels are given.

        Labels are as :meth:`loss` takes them, by the configuration's problem_type; the output is
        a :attr:`returned`.
        """
        out, asked = self._run(
            kwargs,
            input_ids=input_ids,
            attention_mask=attention_mask,
            token_type_ids=token_type_ids,
            inputs_embeds=inputs_embeds,
        )
        loss = None
        if labels is not None:
            loss = self.loss(out.logits, {"labels": labels}, self.config.problem_type)
        return self.returned(loss=loss, logits=out.logits, **asked)


class _Pooled(CofiForTask):
    """A linear layer over the pooled state of each sequence."""

    def head(self, last: Tensor, mask: Optional[Tensor]) -> Tensor:
        """Return logits, (B, C), for the last state, (B, T, d)."""
        pooled = self.model.pool(last, mask)
        logits: Tensor = self.classifier(drop(pooled, self.dropout, self.training))
        return logits


class CofiForSequenceClassification(_Pooled):
    """The encoder with a pooled classification or regression head."""

    kind = "sequence"

    @staticmethod
    def loss(
        logits: Tensor, batch: Mapping[str, Tensor], problem_type: Optional[str] = None
    ) -> Tensor:
        """Return the loss of a class, a number or several classes a row."""
        return sequence_loss(logits, batch["labels"], problem_type)


class CofiForMultipleChoice(_Pooled):
    """The encoder with one pooled logit a text; a row is the texts that are chosen among."""

    kind, rows = "choice", 1
    has_parts, returned = True, MultipleChoiceModelOutput
    _auto_class = "AutoModelForMultipleChoice"

    @staticmethod
    def loss(
        logits: Tensor, batch: Mapping[str, Tensor], problem_type: Optional[str] = None
    ) -> Tensor:
        """Return the cross-entropy of which text is right, labels (B,)."""
        return F.cross_entropy(logits, batch["labels"].flatten())

    def run(
        self,
        input_ids: Optional[Tensor] = None,
        attention_mask: Optional[Tensor] = None,
        token_type_ids: Optional[Tensor] = None,
        *,
        inputs_embeds: Optional[Tensor] = None,
        **options: Any,
    ) -> MaskedOutput:
        """Run on (B, C, T); logits are (B, C), states those of B·C rows."""
        given = input_ids if inputs_embeds is None else inputs_embeds
        assert given is not None
        ids, mask, types, embeds = (
            None if x is None else x.flatten(0, 1)
            for x in (input_ids, attention_mask, token_type_ids, inputs_embeds)
        )
        out = super().run(ids, mask, types, inputs_embeds=embeds, **options)
        out.logits = out.logits.view(given.shape[:2])
        return out


class _PerToken(CofiForTask):
    """A linear layer over the state of each token."""

    has_pooler = False
    per_token = True

    def head(self, last: Tensor, mask: Optional[Tensor]) -> Tensor:
        """Return logits, (B, T, C), for the last state, (B, T, d)."""
        if self.has_pooler:
            last = self.model.transform(last)
        logits: Tensor = self.classifier(drop(last, self.dropout, self.training))
        return logits


class CofiForTokenClassification(_PerToken):
    """The encoder with a classification of each token."""

    kind, returned = "token", TokenClassifierOutput

    @staticmethod
    def loss(
        logits: Tensor, batch: Mapping[str, Tensor], problem_type: Optional[str] = None
    ) -> Tensor:
        """Return the mean cross-entropy over the tokens that carry a label, 0 without any."""
        return token_loss(logits, batch["labels"])

    @staticmethod
    def label_count(batch: Mapping[str, Tensor]) -> Tensor:
        """Return the number of tokens that carry a label."""
        return (batch["labels"] != IGNORE).sum()


class CofiForQuestionAnswering(_PerToken):
    """The encoder with a score for each token to start, and to end, the answer."""

    kind, outputs = "span", 2
    output_names = ("start_logits", "end_logits")

    def __init__(self, config: CofiConfig) -> None:
        config.num_labels = 2
        super().__init__(config)

    @staticmethod
    def loss(
        logits: Tensor, batch: Mapping[str, Tensor], problem_type: Optional[str] = None
    ) -> Tensor:
        """Return the mean of both cross-entropies; labels are (B, 2) positions."""
        return span_loss(logits, batch["labels"], batch["attention_mask"])

    @staticmethod
    def label_count(batch: Mapping[str, Tensor]) -> Tensor:
        """Return the number of positions that lie in their row."""
        return (batch["labels"] < batch["input_ids"].shape[1]).sum()

    def outputs_of(self, last: Tensor, answer: Tensor) -> tuple[Tensor, ...]:
        """Return start and end logits, (B, T) each."""
        start, end = answer.unbind(-1)
        return start, end

    @tuple_if_asked
    def forward(  # type: ignore[override]
        self,
        input_ids: Optional[Tensor] = None,
        attention_mask: Optional[Tensor] = None,
        token_type_ids: Optional[Tensor] = None,
        start_positions: Optional[Tensor] = None,
        end_positions: Optional[Tensor] = None,
        inputs_embeds: Optional[Tensor] = None,
        **kwargs: Any,
    ) -> QuestionAnsweringModelOutput:
        """Return start and end logits, (B, T) each; the loss when positions, (B,), are given."""
        out, asked = self._run(
            kwargs,
            input_ids=input_ids,
            attention_mask=attention_mask,
            token_type_ids=token_type_ids,
            inputs_embeds=inputs_embeds,
        )
        start, end = out.logits.unbind(-1)
        loss = None
        if start_positions is not None and end_positions is not None:
            positions = torch.stack([start_positions.flatten(), end_positions.flatten()], dim=-1)
            loss = span_loss(out.logits, positions, attention_mask)
        return QuestionAnsweringModelOutput(
            loss=loss,
            start_logits=start.contiguous(),
            end_logits=end.contiguous(),
            **asked,
        )


@torch.no_grad()
def start_as_identity(layer: nn.Linear) -> None:
    """Let a layer, in place, give what it is given, as far as its widths go."""
    layer.weight.copy_(torch.eye(*layer.weight.shape))  # nn.init.eye_ fails on meta weights
    layer.bias.zero_()


class _Bare(CofiForTask):
    """A head of which dense checkpoints store nothing: a layer of :class:`CofiModel` alone.

    The layer starts as the identity, and the bare :class:`CofiModel` answers the same.
    """

    outputs, is_bare = 1, True

    def _build_head(self, config: CofiConfig) -> None:
        """Have no head beside that layer."""

    def returned_of(self, out: MaskedOutput, **asked: Any) -> ModelOutput:
        """Return what transformers' bare models return, and what is ``asked`` for beside it."""
        raise NotImplementedError

    @tuple_if_asked
    def forward(  # type: ignore[override]
        self,
        input_ids: Optional[Tensor] = None,
        attention_mask: Optional[Tensor] = None,
        token_type_ids: Optional[Tensor] = None,
        inputs_embeds: Optional[Tensor] = None,
        **kwargs: Any,
    ) -> ModelOutput:
        """Return the last state and what else :meth:`returned_of` says.

        Args:
            input_ids, token_type_ids: (B, T) int.
            attention_mask: (B, T), 0 at padding.
            inputs_embeds: (B, T, e), embedded words in the place of ``input_ids``.
            kwargs: as of :meth:`CofiModel.forward`.
        """
        out, asked = self._run(
            kwargs,
            input_ids=input_ids,
            attention_mask=attention_mask,
            token_type_ids=token_type_ids,
            inputs_embeds=inputs_embeds,
        )
        return self.returned_of(out, **asked)


class CofiForEmbedding(_Bare):
    """A sentence embedder: pooled state, dense layer, on demand unit length.

    All of it is the encoder's pooler, so that the bare :class:`CofiModel` gives the same.
    """

    kind = "embedding"
    output_names = ("last_hidden_state", "sentence_embedding")

    def __init__(self, config: CofiConfig) -> None:
        super().__init__(config)
        assert self.model.pooler is not None
        start_as_identity(self.model.pooler)

    def head(self, last: Tensor, mask: Optional[Tensor]) -> Tensor:
        """Return embeddings, (B, e), for the last state, (B, T, d)."""
        return self.model.pool(last, mask)

    def outputs_of(self, last: Tensor, answer: Tensor) -> tuple[Tensor, ...]:
        """Return the states of all tokens, and the embeddings."""
        return last, answer

    def returned_of(self, out: MaskedOutput, **asked: Any) -> ModelOutput:
        """Return the last state, (B, T, d), and the embedding, (B, e), as ``pooler_output``."""
        last = out.states[-1]
        return BaseModelOutputWithPooling(last_hidden_state=last, pooler_output=out.logits, **asked)


class CofiForStates(_Bare):
    """A general encoder: the last state of each token, mapped to the dense model's width.

    The map is a part of :class:`CofiModel`, which therefore gives the same.
    """

    kind = "encoder"
    has_pooler, per_token, is_general = False, True, True
    kept_as = torch.bfloat16  # a vector a token takes as much as a hidden state
    output_names = ("last_hidden_state",)

    def __init__(self, config: CofiConfig) -> None:
        super().__init__(config)
        if self.model.state_map is not None:
            start_as_identity(self.model.state_map)

    def head(self, last: Tensor, mask: Optional[Tensor]) -> Tensor:
        """Return (B, T, pooler_size) for the last state, (B, T, d)."""
        return self.model.widened(last)

    @property
    def reader(self) -> str:
        """The map."""
        return "model.state_map"

    def leave_out_identity(self) -> None:
        """Leave out the map of a dense model, which nobody has trained."""
        layer = self.model.state_map
        if layer is None or layer.bias.any():
            return
        if torch.equal(layer.weight, torch.eye(*layer.weight.shape)):
            self.model.state_map, self.config.wide_states = None, False

    def returned_of(self, out: MaskedOutput, **asked: Any) -> ModelOutput:
        """Return the last state, (B, T, pooler_size); ``hidden_states`` are (B, T, d)."""
        return BaseModelOutput(last_hidden_state=out.logits, **asked)


HEADS: dict[str, type[CofiForTask]] = {
    own.kind: own
    for own in (
        CofiForSequenceClassification,
        CofiForTokenClassification,
        CofiForQuestionAnswering,
        CofiForEmbedding,
        CofiForMultipleChoice,
        CofiForStates,
    )
}
"""Kind of head -> its class."""

# What register_for_auto_class sets, without its import of every auto class.
CofiConfig._auto_class = "AutoConfig"
CofiModel._auto_class = "AutoModel"
CofiForSequenceClassification._auto_class = "AutoModelForSequenceClassification"
CofiForTokenClassification._auto_class = "AutoModelForTokenClassification"
CofiForQuestionAnswering._auto_class = "AutoModelForQuestionAnswering"
CofiForEmbedding._auto_class = "AutoModel"
CofiForStates._auto_class = "AutoModel"
