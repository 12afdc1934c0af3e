"""What an export's card says of a sentence embedder."""

OUTPUT = (
    "the outputs are `sentence_embedding`, (batch, width), pooled and finished as the model does "
    "it, and `token_embeddings`, (batch, length, hidden)"
)

SNIPPET = """import numpy as np
import onnxruntime
from tokenizers import Tokenizer

tokenizer = Tokenizer.from_file("tokenizer.json")
tokenizer.enable_padding()
session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
texts = ["The river rises in the hills.", "Its source is up in the hills."]
rows = tokenizer.encode_batch(texts)
fields = {"input_ids": [row.ids for row in rows],
          "attention_mask": [row.attention_mask for row in rows],
          "token_type_ids": [row.type_ids for row in rows]}
names = [field.name for field in session.get_inputs()]
vectors = session.run(["sentence_embedding"], {name: fields[name] for name in names})[0]
one, other = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
similarity = one @ other"""
