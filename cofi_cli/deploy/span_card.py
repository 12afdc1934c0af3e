"""What an export's card says of a model that finds answers in a context."""

OUTPUT = "the outputs are `start_logits` and `end_logits`, (batch, length) each"

SNIPPET = """import numpy as np
import onnxruntime
from tokenizers import Tokenizer

tokenizer = Tokenizer.from_file("tokenizer.json")
session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
question, context = "Where does the river rise?", "The river rises in the hills."
text = tokenizer.encode(question, context)
fields = {"input_ids": text.ids, "attention_mask": text.attention_mask,
          "token_type_ids": text.type_ids}
start, end = session.run(["start_logits", "end_logits"], {k: [v] for k, v in fields.items()})

# The best span of the context, of at most 30 tokens.
inside = np.array([part == 1 for part in text.sequence_ids])
allowed = np.triu(np.outer(inside, inside)) & np.tri(len(inside), k=29, dtype=bool)
scores = np.where(allowed, start[0][:, None] + end[0], -np.inf)
first, last = divmod(int(scores.argmax()), len(inside))
answer = context[text.offsets[first][0] : text.offsets[last][1]]"""
