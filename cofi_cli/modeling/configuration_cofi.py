"""Configuration of the encoder: a width for each layer."""

from typing import TYPE_CHECKING, Any, Optional

from transformers import PretrainedConfig


class CofiConfig(PretrainedConfig):
    """Shape of a dense or compact encoder: BERT's family and what descends from it.

    Args:
        hidden_size: width of the residual stream (kept hidden dims).
        pooler_size: output width of the pooler; the dense model's hidden width.
        pooling: what the pooler reads: the state of ``cls``, the first token, or the ``mean``.
        pooler_act: the pooler's activation.
        normalize: whether what is pooled is brought to unit length, as embedders want it.
        head_dim: width of one attention head.
        layer_heads: heads of each layer; 0 means that the attention sub-layer is absent.
        layer_ffn: FFN width of each layer; 0 means that the FFN sub-layer is absent.
        position_offset: first position index (0 for BERT).
        type_vocab_size: token types; 0 for none.
        source_model_type: ``model_type`` of the architecture that it came from.
        embedding_size: width of the embeddings where a projection leads from them to the
            stream; ``None`` = they are the stream's width, and there is none.
        embedding_rank: columns of a factorised table of word vectors; ``None`` = it is whole.
        project_first: whether that projection stands before the embeddings' LayerNorm.
        embedding_norm: whether LayerNorm follows the sum of the embeddings.
        position: ``learned`` embeddings, ``rotary`` queries and keys, or ``none`` of the two.
        layer_thetas: RoPE's base in each layer.
        layer_windows: how far each layer's attention looks to either side; ``None`` = everywhere.
        relative_buckets: buckets of a bias by distance, shared by all layers; 0 = none.
        relative_heads: heads in its table, where layers have fewer.
        layer_head_ids: which of these heads each layer has; ``None`` = all.
        disentangled: terms by content and distance in the scores, of ``c2p``, queries with
            embedded distances, and ``p2c``, keys with them; ``None`` = no such terms.
        distance_span: embeddings of distances to either side.
        distance_farthest: distance from which on all share the last of these; half of them
            widen by powers. ``None`` = each is for one distance.
        distance_norm: whether LayerNorm follows them.
        pre_norm: whether LayerNorm stands before each sub-layer, and one after the last layer,
            rather than after each residual sum.
        first_norm: whether the first attention sub-layer has its LayerNorm.
        norm_bias, attention_bias, ffn_bias, pooler_bias: whether these have biases.
        gated_ffn: whether the FFN multiplies its activation by a second projection.
        pooler_norm: whether LayerNorm follows the pooler's activation.
        pool_tokens: whether heads that answer for each token go through the pooler's layer too.
        wide_states: whether a linear map brings the last state to the dense model's width,
            ``pooler_size``.

    The other arguments are BERT's. An absent sub-layer is an identity: it has
    neither weights nor LayerNorm.
    """

    model_type = "cofi"
    if TYPE_CHECKING:
        # transformers allows None, for models without a head; here they are always set.
        id2label: dict[int, str]
        label2id: dict[str, int]
        num_labels: int

    def __init__(
        self,
        vocab_size: int = 30522,
        hidden_size: int = 768,
        pooler_size: Optional[int] = None,
        pooling: str = "cls",
        pooler_act: str = "tanh",
        normalize: bool = False,
        head_dim: int = 64,
        layer_heads: Optional[list[int]] = None,
        layer_ffn: Optional[list[int]] = None,
        hidden_act: str = "gelu",
        hidden_dropout_prob: float = 0.1,
        attention_probs_dropout_prob: float = 0.1,
        classifier_dropout: Optional[float] = None,
        max_position_embeddings: int = 512,
        position_offset: int = 0,
        type_vocab_size: int = 2,
        layer_norm_eps: float = 1e-12,
        pad_token_id: int = 0,
        source_model_type: str = "bert",
        embedding_size: Optional[int] = None,
        embedding_rank: Optional[int] = None,
        project_first: bool = False,
        embedding_norm: bool = True,
        position: str = "learned",
        layer_thetas: Optional[list[float]] = None,
        layer_windows: Optional[list[Optional[int]]] = None,
        relative_buckets: int = 0,
        relative_heads: Optional[int] = None,
        layer_head_ids: Optional[list[list[int]]] = None,
        disentangled: Optional[list[str]] = None,
        distance_span: int = 0,
        distance_farthest: Optional[int] = None,
        distance_norm: bool = False,
        pre_norm: bool = False,
        first_norm: bool = True,
        norm_bias: bool = True,
        attention_bias: bool = True,
        ffn_bias: bool = True,
        gated_ffn: bool = False,
        pooler_bias: bool = True,
        pooler_norm: bool = False,
        pool_tokens: bool = False,
        wide_states: bool = False,
        **kwargs: Any,
    ) -> None:
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.pooler_size = hidden_size if pooler_size is None else pooler_size
        self.pooling, self.pooler_act, self.normalize = pooling, pooler_act, normalize
        self.head_dim = head_dim
        self.layer_heads = [12] * 12 if layer_heads is None else list(layer_heads)
        self.layer_ffn = [3072] * 12 if layer_ffn is None else list(layer_ffn)
        if len(self.layer_heads) != len(self.layer_ffn):
            raise ValueError(
                f"layer_heads names {len(self.layer_heads)} layers, "
                f"layer_ffn {len(self.layer_ffn)}: they must agree"
            )
        self.num_hidden_layers = len(self.layer_heads)
        kwargs.pop("num_hidden_layers", None)
        self.hidden_act = hidden_act
        self.hidden_dropout_prob = hidden_dropout_prob
        self.attention_probs_dropout_prob = attention_probs_dropout_prob
        self.classifier_dropout = classifier_dropout
        self.max_position_embeddings = max_position_embeddings
        self.position_offset = position_offset
        self.type_vocab_size = type_vocab_size
        self.layer_norm_eps = layer_norm_eps
        self.source_model_type = source_model_type
        self.embedding_size, self.embedding_norm = embedding_size, embedding_norm
        self.embedding_rank, self.project_first = embedding_rank, project_first
        self.position, self.layer_thetas = position, layer_thetas
        self.layer_windows = layer_windows
        self.relative_buckets, self.relative_heads = relative_buckets, relative_heads
        self.layer_head_ids = layer_head_ids
        self.disentangled, self.distance_norm = disentangled, distance_norm
        self.distance_span, self.distance_farthest = distance_span, distance_farthest
        self.pre_norm, self.first_norm, self.norm_bias = pre_norm, first_norm, norm_bias
        self.attention_bias, self.ffn_bias, self.gated_ffn = attention_bias, ffn_bias, gated_ffn
        self.pooler_bias, self.pooler_norm, self.pool_tokens = pooler_bias, pooler_norm, pool_tokens
        self.wide_states = wide_states
        kwargs["pad_token_id"] = pad_token_id
        super().__init__(**kwargs)

    @property
    def has_token_types(self) -> bool:
        """Whether token types make a difference; a single row is added to every token."""
        return self.type_vocab_size > 1

    @property
    def longest_input(self) -> int:
        """The most tokens that a model with a table of positions takes."""
        return self.max_position_embeddings - self.position_offset
